"""lm-evaluation-harness: documents as examples, answers with their metrics, filters apart, models by their results file."""

import json
from pathlib import Path
from typing import Any

import pytest

from gimbal.axis.evals.formats import detect, read_suite
from gimbal.kernel.errors import BadInput

from .conftest import Read, Write

TIME = "2026-05-03T12-00-00.123456"


def generated(doc: int, filtered: str, score: float, name: str = "none") -> dict[str, Any]:
    return {
        "doc_id": doc, "doc": {"q": f"q{doc}"}, "target": "42",
        "arguments": {"gen_args_0": {"arg_0": f"Q: q{doc}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [[f"It is {filtered}"]], "filtered_resps": [filtered], "filter": name, "metrics": ["exact_match"],
        "doc_hash": "a", "prompt_hash": "b", "target_hash": "c", "exact_match": score,
    }  # fmt: skip


CHOSEN = {
    "doc_id": 0, "doc": {}, "target": "1",
    "arguments": {f"gen_args_{i}": {"arg_0": "Sky?", "arg_1": f" {word}"} for i, word in enumerate(("red", "blue"))},
    "resps": [[["-5.0", "False"]], [["-1.5", "True"]]], "filtered_resps": [["-5.0", "False"], ["-1.5", "True"]],
    "filter": "none", "metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 0.0,
}  # fmt: skip


def lines(*samples: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in samples)


@pytest.fixture
def logged(write: Write) -> Path:
    """Write what two tasks of one run leave; return the results file."""
    write(f"org__m/samples_gsm8k_{TIME}.jsonl", lines(generated(0, "42", 1.0), generated(1, "7", 0.0)))
    write(f"org__m/samples_sky_colour_{TIME}.jsonl", lines(CHOSEN))
    return write(f"org__m/results_{TIME}.json", json.dumps({"results": {}, "model_name": "org/m-1b"}))


def test_a_run_is_examples_and_answers(logged: Path) -> None:
    """Of all tasks of a results file; a choice is told by its text."""
    found = read_suite([logged])

    assert detect(logged) == "lm_eval"
    assert [e.id for e in found.examples] == ["gsm8k/0", "gsm8k/1", "sky_colour/0"]
    assert found.examples[0].input == {"question": "Q: q0\nA:"}
    assert found.examples[0].expected == {"answer": "42"}
    assert found.examples[0].metadata["generation"] == {"until": ["\n"]}
    assert (found.examples[2].input["choices"], found.examples[2].expected) == (["red", "blue"], {"answer": "blue"})
    assert [(r.subject, r.example_id, r.text, r.scores) for r in found.results] == [
        ("org/m-1b", "gsm8k/0", "42", {"exact_match": 1.0}),
        ("org/m-1b", "gsm8k/1", "7", {"exact_match": 0.0}),
        ("org/m-1b", "sky_colour/0", "blue", {"acc": 1.0, "acc_norm": 0.0}),
    ]


def test_two_models_share_the_examples(logged: Path, write: Write) -> None:
    """Without a results file the folder names the model, and that is told."""
    other = write(f"org__other/samples_gsm8k_{TIME}.jsonl", lines(generated(0, "41", 0.0), generated(1, "7", 0.0)))
    found = read_suite([logged.with_name(f"samples_gsm8k_{TIME}.jsonl"), other])

    assert len(found.examples) == 2
    assert {r.subject for r in found.results} == {"org/m-1b", "org/other"}
    assert any("folder's name" in note for note in found.notes)


def test_filters_of_a_document_are_told_apart(read: Read) -> None:
    """As the harness names them; a third one, too."""
    samples = [generated(0, text, score, name) for text, score, name in (("42", 1.0, "strict"), ("It is 42", 0.0, "loose"), ("42", 1.0, "last"))]  # fmt: skip
    found = read("samples_gsm8k.jsonl", lines(*samples))

    assert len(found.results) == 1
    assert found.results[0].scores == {"exact_match,strict": 1.0, "exact_match,loose": 0.0, "exact_match,last": 1.0}
    assert found.results[0].text == "42"
    assert any("filters read an answer differently" in note for note in found.notes)


def test_older_logs_are_read(read: Read) -> None:
    """Arguments as lists, no list of metrics, a number as the target."""
    old = {"doc_id": 3, "doc": {}, "target": 5, "arguments": [["Q", {"until": []}]], "resps": [["5"]], "filtered_resps": ["5"], "em": 1}  # fmt: skip
    found = read("samples_t.jsonl", lines(old))

    assert (found.examples[0].id, found.examples[0].expected) == ("t/3", {"answer": 5})
    assert (found.results[0].text, found.results[0].scores) == ("5", {"em": 1.0})


def test_a_metric_without_a_value_is_missing_not_zero(read: Read) -> None:
    """NaN as Python writes it; one that is no number of a document at all is told; half a character is mended."""
    sample = generated(0, "\ud800", float("nan")) | {"metrics": ["exact_match", "ppl"], "ppl": [-3.0, 4]}
    found = read("samples_t.jsonl", lines(sample))

    assert found.results[0].scores == {}
    assert found.results[0].missing == {"exact_match": "scorer_error"}
    assert found.results[0].text == "�"
    assert any("`ppl` is a list" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lines(generated(0, "1", 1.0), generated(0, "1", 1.0)), "stands twice"),
        (lines(generated(0, "1", 1.0), generated(0, "1", 1.0, "other") | {"target": "43"}), "another content"),
        (lines(generated(0, "1", 1.0)) + "{}\n", "not a sample"),
        (lines(generated(0, "1", 1.0)) + '{"doc_id": 1', "not JSON"),
    ],
)
def test_a_bad_sample_is_named(read: Read, content: str, told: str) -> None:
    """By file and line."""
    with pytest.raises(BadInput, match=told) as refused:
        read("samples_t.jsonl", content)
    assert refused.value.where.endswith("samples_t.jsonl:2")


def test_results_without_samples_are_refused(read: Read) -> None:
    """They have no examples; the answer says how to log them."""
    with pytest.raises(BadInput, match="no samples") as refused:
        read(f"results_{TIME}.json", "{}")
    assert "--log_samples" in refused.value.todo
