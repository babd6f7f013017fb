"""Inspect's logs, written by their layout: samples, epochs, scores in words, journals, and archives that are not to be trusted."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gimbal.axis.evals.formats import detect, read_suite
from gimbal.axis.evals.formats.archive import archive
from gimbal.kernel.errors import BadInput, TooLarge

from .conftest import Read, Write

HEADER = {
    "version": 2, "status": "success",
    "eval": {"task": "inspect_evals/capitals", "model": "openai/gpt-5-mini", "config": {"epochs": 2}, "dataset": {}},
    "plan": {}, "results": {"scores": []}, "stats": {},
}  # fmt: skip


def sample(number: int, epoch: int = 1, value: Any = "C", **more: Any) -> dict[str, Any]:
    return {
        "id": number, "epoch": epoch, "input": f"Capital {number}?", "target": "Paris",
        "messages": [], "metadata": {"level": number},
        "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": "Paris"}}]},
        "scores": {"match": {"value": value, "answer": "Paris"}},
    } | more  # fmt: skip


def packed(members: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, value in members.items():
            file.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def log(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "_journal/start.json": {k: HEADER[k] for k in ("version", "eval", "plan")},
        **{f"samples/{one['id']}_epoch_{one['epoch']}.json": one for one in samples},
        "summaries.json": [{"id": one["id"], "epoch": one["epoch"]} for one in samples],
        "header.json": HEADER,
    } | more


@pytest.mark.parametrize("twin", [False, True])
def test_samples_are_examples_and_epochs_are_repeats(write: Write, twin: bool) -> None:
    """The same from the archive and from its twin as JSON."""
    samples = [sample(1), sample(1, 2, "I"), sample(2, 1, 0.25), sample(2, 2, True)]
    content = json.dumps(HEADER | {"samples": samples}) if twin else packed(log(*samples))
    path = write("a.json" if twin else "a.eval", content)
    found = read_suite([path])

    assert detect(path) == "inspect"
    assert [(e.id, e.input, e.expected, e.metadata) for e in found.examples] == [
        (f"capitals/{n}", {"question": f"Capital {n}?"}, {"answer": "Paris"}, {"level": n}) for n in (1, 2)
    ]
    assert [(r.subject, r.example_id, r.repeat, r.text, r.scores) for r in found.results] == [
        ("openai/gpt-5-mini", "capitals/1", 0, "Paris", {"match": 1.0}),
        ("openai/gpt-5-mini", "capitals/1", 1, "Paris", {"match": 0.0}),
        ("openai/gpt-5-mini", "capitals/2", 0, "Paris", {"match": 0.25}),
        ("openai/gpt-5-mini", "capitals/2", 1, "Paris", {"match": 1.0}),
    ]
    assert found.repeats == 2
    assert any("`match` is none of ours" in note for note in found.notes)


def test_a_long_log_as_json_is_known_by_its_beginning(write: Write) -> None:
    """Without reading all of it to find out."""
    path = write("a.json", json.dumps(HEADER | {"samples": [sample(n, input="x" * 1000 + str(n)) for n in range(90)]}))

    assert detect(path) == "inspect"
    assert len(read_suite([path]).examples) == 90


def test_conversations_choices_and_attachments_come_whole(read: Read) -> None:
    """Texts that lie elsewhere in the sample are found; parts that are no text are told."""
    content = [{"type": "text", "text": "attachment://ab"}, {"type": "image", "image": "data:"}]
    given = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    found = read("a.eval", packed(log(sample(
        1, input=given, choices=["a", "b"], target=["A", "B"], attachments={"ab": "Which?", "cd": "Long answer"},
        output={"completion": "attachment://cd"}, sandbox=["docker"],
    ))))  # fmt: skip

    assert found.examples[0].input == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],
        "question": "Which?",
        "choices": ["a", "b"],
    }
    assert found.examples[0].expected == {"answers": ["A", "B"]}
    assert found.results[0].text == "Long answer"
    assert any("left out: image" in note for note in found.notes)
    assert any("`sandbox`" in note for note in found.notes)


@pytest.mark.parametrize(
    ("value", "scores", "missing", "labels"),
    [
        ("P", {"match": 0.5}, {}, {"match": "P"}),
        ("N", {}, {"match": "no_output"}, {"match": "N"}),
        (float("nan"), {}, {"match": "scorer_error"}, {}),
        ("0.75", {"match": 0.75}, {}, {}),
        ("blue", {}, {}, {"match": "blue"}),
        ({"a": 1, "b": "I"}, {"match/a": 1.0, "match/b": 0.0}, {}, {"match/b": "I"}),
        ([1, 2], {}, {}, {}),
    ],
)
def test_scores_are_numbers_words_or_missing(read: Read, value: Any, scores: Any, missing: Any, labels: Any) -> None:
    """What has no value is missing with a reason, never 0."""
    result = read("a.eval", packed(log(sample(1, value=value)))).results[0]

    assert (result.scores, result.missing, result.labels) == (scores, missing, labels)


def test_a_sample_that_failed_says_why(read: Read) -> None:
    """It has no answer and no score."""
    failed = sample(1, error={"message": "boom", "traceback": "…"}, output={}, scores=None)
    result = read("a.eval", packed(log(failed))).results[0]

    assert (result.error, result.text, result.scores) == ("boom", None, {})


def test_an_unfinished_log_gives_what_it_has(read: Read) -> None:
    """Samples that only the journal tells of are named."""
    members = log(
        sample(1),
        **{"_journal/summaries/1.json": [{"id": 1, "epoch": 1}, {"id": 7, "epoch": 2}], "samples/chunk": b"x"},
    )
    del members["header.json"]
    found = read("a.eval", packed(members))

    assert len(found.results) == 1
    told = "\n".join(found.notes)
    for part in ("not finished", "7 epoch 2", "samples/chunk"):
        assert part in told


def test_scorers_that_are_ours_are_taken(read: Read) -> None:
    """`exact` and `f1` mean the same there."""
    found = read("a.eval", packed(log(sample(1, scores={"exact": {"value": "C"}, "f1": {"value": 0.5}}))))

    assert [one.scorer for one in found.scorers] == ["exact", "token_f1"]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"/etc/x.json": {}}, "leads out"),
        ({"samples/../../x.json": {}}, "leads out"),
        ({"C:/x.json": {}}, "no name"),
        ({"a\\b.json": {}}, "no name"),
        ({"header.json": [1]}, "a list, not an object"),
        ({"header.json": {"version": 2}}, "what was evaluated"),
        ({"header.json": b"{"}, "not JSON"),
        ({"other.json": {}}, "no header.json"),
        (log(sample(1) | {"id": None}), "no id"),
        (log(sample(1) | {"epoch": 0}), "not a number from 1"),
        (log(sample(1), sample(1, 2, target="Rome")), "another content"),
        (log(sample(1, input=5)), "not a text or messages"),
        (log(), "no example"),
    ],
)
def test_an_odd_log_is_refused(read: Read, members: dict[str, Any], told: str) -> None:
    """By the name of the member that is wrong."""
    with pytest.raises(BadInput, match=told):
        read("a.eval", packed(members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(read: Read) -> None:
    """One of them would be lost in silence."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for _ in range(2):
            file.writestr("samples/1_epoch_1.json", "{}")
    with pytest.raises(BadInput, match="stands twice"):
        read("a.eval", out.getvalue())


def test_an_archive_that_is_cut_off_or_damaged_is_refused(read: Read) -> None:
    """At its end, in its middle, empty, or no archive at all."""
    whole = packed(log(*(sample(n) for n in range(9))), zipfile.ZIP_STORED)
    damaged = whole.replace(b"Capital 5?", b"Capital 6?", 1)
    for content, told in (
        (whole[:-30], "whole ZIP"),
        (b"", "whole ZIP"),
        (b"x" * 99, "whole ZIP"),
        (damaged, "damaged"),
    ):
        with pytest.raises(BadInput, match=told):
            read("a.eval", content)


def test_a_bomb_is_refused_before_it_unfolds(write: Write, tmp_path: Path) -> None:
    """Whether it says its size or lies about it."""
    bomb = packed({"header.json": b" " * 32_000_000})
    with pytest.raises(TooLarge, match="times its size"):
        read_suite([write("a.eval", bomb)])

    # The size in the directory is made small: no more than that is unfolded, and the check sum tells.
    lying = bomb.replace(struct.pack("<L", 32_000_000), struct.pack("<L", 1000))
    with archive(write("b.eval", lying)) as members, pytest.raises(BadInput, match="damaged"):
        members.read("header.json")


def test_what_is_not_read_here_is_told(read: Read) -> None:
    """A method of compression that is not known, and a password."""
    plain = packed({"header.json": HEADER}, zipfile.ZIP_STORED)
    at = plain.rindex(b"PK\x01\x02")
    zstd = plain[: at + 10] + struct.pack("<H", 93) + plain[at + 12 :]
    locked = plain[: at + 8] + struct.pack("<H", 1) + plain[at + 10 :]
    for content, told in ((zstd, "method 93"), (locked, "encrypted")):
        with pytest.raises(BadInput, match=told):
            read("a.eval", content)
