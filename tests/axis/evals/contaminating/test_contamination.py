"""The contamination check: suites beside suites, prompts and tuning data; what stands twice; what cannot be read."""

import io
import json
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.axis.evals.contaminating.conftest import checked
from tests.axis.evaluating import store_suite

import gimbal.generative.prompts.model  # noqa: F401 - registers the kind
from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.evals.contaminating import reading
from gimbal.axis.evals.contaminating.model import Split
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.prompts.mlflow import IS_PROMPT, TEXT, manifest_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

CAPITAL = "What is the capital of the country that has the longest coast on the Baltic Sea, and since when?"
REFUND = "How many days after the delivery may a customer send back what was ordered by mistake in our shop?"
OWN = "Which of the two machines in the cellar needs new oil before the winter comes?"
JAPANESE = "この製品の保証期間は購入日から何年間ですか、電池も対象になりますか"


def asked(*questions: str, **more: Any) -> list[Example]:
    return [Example(id=f"q{at}", input={"question": text}, **more) for at, text in enumerate(questions)]


async def prompt(ctx: Context, name: str, text: str) -> Version:
    """Store a prompt as a file says it, which asks for `{{question}}` in the end."""
    text = f"{text}\n\nQ: {{{{question}}}}"
    content = f"---\nmodel: local/extractive\n---\n{text}".encode()
    blob = await ctx.get(Blobs).put(content)
    entry = FileEntry(path="prompt.md", digest=blob.digest, size=blob.size, media_type="text/markdown")
    manifest = {"messages": [{"role": "user", "content": text}], "model": "local/extractive", "variables": ["question"]}
    return await ctx.get(Assets).add_version(ctx, kind="prompt", name=name, manifest=manifest, files=[entry])


async def test_all_other_suites_prompts_and_datasets_are_compared(
    evaluations: Evaluations, datasets: Datasets, ctx: Context
) -> None:
    """Word for word, with a word changed, as a few-shot example, inside a chat of tuning data; what is only here is not."""
    await store_suite(ctx, asked(CAPITAL, REFUND, OWN, JAPANESE))
    near = REFUND.replace("mistake", "error")
    await store_suite(ctx, asked("What else is there?", CAPITAL.upper(), near), name="other/suite")
    await prompt(ctx, "help/answer", f"Answer shortly.\n\nQ: {REFUND}\nA: 14")
    chat = [[{"role": "user", "content": f"前置き。{JAPANESE}"}, {"role": "assistant", "content": "二年です"}]]
    await datasets.snapshot(ctx, "tuning/chats", pa.table({"messages": chat, "n": [1]}))

    report = await checked(ctx, threshold=0.75)

    told = {(one.example_id, str(one.ref).partition("@")[0]): one for one in report.findings}
    assert {key: one.kind for key, one in told.items()} == {
        ("q0", "suite:other/suite"): "exact",
        ("q1", "suite:other/suite"): "near",
        ("q1", "prompt:help/answer"): "contained",
        ("q3", "dataset:tuning/chats"): "contained",
    }
    assert told["q0", "suite:other/suite"].where == "examples.jsonl, line 2, q1"
    assert told["q3", "dataset:tuning/chats"].where == "data.parquet, messages, row 1"
    assert 0.75 <= told["q1", "suite:other/suite"].similarity < 1
    assert (report.examples, report.touched, report.share, report.found) == (4, 3, 0.75, 4)
    shares = {str(one.ref).partition("@")[0]: (one.examples, one.share) for one in report.against}
    assert shares == {
        "suite:other/suite": (2, 0.5),
        "prompt:help/answer": (1, 0.25),
        "dataset:tuning/chats": (1, 0.25),
    }
    assert (told["q1", "prompt:help/answer"].where, told["q1", "prompt:help/answer"].similarity) == ("prompt.md", 1.0)
    assert told["q1", "suite:other/suite"].found == near
    assert report.unread == []


async def test_an_example_is_found_in_a_long_document_by_its_question_alone(
    evaluations: Evaluations, ctx: Context
) -> None:
    """The context that all examples share touches nobody; the question that is theirs does."""
    context = "The cellar holds two machines, of which the older one is from the time before the war. " * 5
    rows = [
        Example(id=name, input={"context": context, "question": text}) for name, text in (("a", OWN), ("b", REFUND))
    ]
    await store_suite(ctx, rows)
    await prompt(ctx, "long/one", f"{context}\n{'All work and no play makes a dull day. ' * 200} {OWN} " * 2)

    report = await checked(ctx, against=["prompt:long/one"])

    assert [(one.example_id, one.kind, one.similarity) for one in report.findings] == [("a", "contained", 1.0)]
    assert report.findings[0].found.startswith("…")
    assert OWN in report.findings[0].found


async def test_examples_that_repeat_each_other_want_one_cluster(evaluations: Evaluations, ctx: Context) -> None:
    rows = [
        Example(id="a", input={"question": CAPITAL}, cluster="page1"),
        Example(id="b", input={"question": CAPITAL + "!"}, cluster="page2"),
        Example(id="c", input={"question": REFUND}, cluster="page3"),
        Example(id="d", input={"question": REFUND.replace("mistake", "error")}, cluster="page3"),
        Example(id="e", input={"question": OWN}),
    ]
    await store_suite(ctx, rows)

    report = await checked(ctx, threshold=0.75)

    assert [(one.left, one.right, one.kind, one.apart) for one in report.inside] == [
        ("a", "b", "exact", True),
        ("c", "d", "near", False),
    ]
    assert report.split == [Split(clusters=["page1", "page2"], count=2)]
    assert (report.repeated, report.parted, report.splits, report.found, report.against) == (2, 1, 1, 0, [])


async def test_a_prompt_that_mlflow_registered_is_read_from_its_manifest(
    evaluations: Evaluations, ctx: Context
) -> None:
    manifest = msgspec.to_builtins(
        manifest_of({IS_PROMPT: "true", TEXT: f"For example: {OWN}\n{{{{ question }}}}"}, "r1")
    )
    await ctx.get(Assets).add_version(ctx, kind="prompt", name="from/mlflow", manifest=manifest)
    await store_suite(ctx, asked(OWN))

    report = await checked(ctx)

    assert [(one.example_id, str(one.ref)) for one in report.findings] == [("q0", "prompt:from/mlflow@v1")]


async def test_what_cannot_be_read_is_told(evaluations: Evaluations, datasets: Datasets, ctx: Context) -> None:
    """A dataset without texts, bytes that nobody knows, a file that is not what it says."""
    await store_suite(ctx, asked(OWN))
    await datasets.snapshot(ctx, "flights/delays", pa.table({"minutes": [1, 2], "at": [0.5, None]}))
    files: list[FileEntry] = []
    for path, kind in (("weights.bin", "application/octet-stream"), ("bad.parquet", "application/vnd.apache.parquet")):
        blob = await ctx.get(Blobs).put(b"\0\1 no file of its kind" + path.encode())
        files.append(FileEntry(path=path, digest=blob.digest, size=blob.size, media_type=kind))
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="some/thing", manifest={}, files=files)

    plain = await checked(ctx)
    named = await checked(ctx, against=["answerer:some/thing", "dataset:flights/delays@v1"])

    assert [(one.ref, one.where) for one in plain.unread] == [("dataset:flights/delays@v1", "data.parquet")]
    assert "no column of texts" in plain.unread[0].reason
    assert [(one.where, one.reason[:14]) for one in named.unread] == [
        ("bad.parquet", "it is no Parqu"),
        ("weights.bin", "nothing reads "),
        ("data.parquet", "it has no colu"),
    ]
    assert [one.texts for one in named.against] == [0, 0]


async def test_texts_in_maps_are_read_and_cells_that_are_no_text_are_told(
    evaluations: Evaluations, datasets: Datasets, ctx: Context
) -> None:
    """Parquet takes any bytes for a text; what was read before them is compared."""
    await store_suite(ctx, asked(OWN))
    maps = pa.array([[("q", OWN)]], pa.map_(pa.string(), pa.string()))
    await datasets.snapshot(
        ctx, "of/maps", pa.table({"pairs": maps, "two": pa.array([["a", "b"]], pa.list_(pa.string(), 2))})
    )
    broken = pa.table({"good": [OWN], "odd": pa.array([b"\xff\xfe"]).view(pa.string())})
    sink = io.BytesIO()
    pq.write_table(broken, sink)
    blob = await ctx.get(Blobs).put(sink.getvalue())
    entry = FileEntry(path="odd.parquet", digest=blob.digest, size=blob.size)
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="odd", manifest={}, files=[entry])

    report = await checked(ctx, against=["dataset:of/maps", "answerer:odd"])

    assert [(str(one.ref), one.kind) for one in report.findings] == [
        ("answerer:odd@v1", "exact"),
        ("dataset:of/maps@v1", "exact"),
    ]
    assert [(one.ref, one.where) for one in report.unread] == [("answerer:odd@v1", "odd.parquet")]
    assert "UTF-8" in report.unread[0].reason


async def test_of_files_beyond_memory_the_beginning_is_compared_and_the_rest_told(
    evaluations: Evaluations, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_OF_A_FILE", 1_000)
    monkeypatch.setattr(reading, "LONGEST_LINE", 400)
    row = json.dumps({"input": {"question": REFUND}})
    contents = {
        "a.txt": f"{OWN}\n" + "x y z\n" * 1_000,
        "b.json": f"[{row}{' ' * 1_000}]",
        "c.jsonl": f"{'x' * 5_000}\n{row}\n",
    }
    files: list[FileEntry] = []
    for path, text in contents.items():
        blob = await ctx.get(Blobs).put(text.encode())
        files.append(FileEntry(path=path, digest=blob.digest, size=blob.size))
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="large", manifest={}, files=files)
    await store_suite(ctx, asked(OWN, REFUND))

    report = await checked(ctx, against=["answerer:large"])

    assert {one.where for one in report.findings} == {"a.txt:1", "c.jsonl, line 14"}
    assert [(one.where, "long" in one.reason) for one in report.unread] == [("a.txt", True), ("b.json", True)]


async def test_short_values_of_a_table_are_no_examples(
    evaluations: Evaluations, datasets: Datasets, ctx: Context
) -> None:
    """A city in a column is not the example that names the city, as long as that says more."""
    await store_suite(ctx, [Example(id="a", input={"city": "Paris", "age": 31}), Example(id="b", input={})])
    await datasets.snapshot(ctx, "people/rows", pa.table({"city": ["Paris", "Paris"], "note": ["", None]}))
    await prompt(ctx, "p", "Paris\n\nyes")

    report = await checked(ctx)

    assert (report.found, report.touched, report.repeated) == (0, 0, 0)


async def test_lines_that_are_no_json_are_texts(evaluations: Evaluations, ctx: Context) -> None:
    lines = [json.dumps({"prompt": OWN, "completion": "The older."}), "{broken", REFUND, "", '{"a": ' * 4000]
    blob = await ctx.get(Blobs).put("\n".join(lines).encode() + b"\n\xff\xfe\n")
    entry = FileEntry(path="tuning.jsonl", digest=blob.digest, size=blob.size)
    await ctx.get(Assets).add_version(ctx, kind="answerer", name="tuning", manifest={}, files=[entry])
    await store_suite(ctx, asked(OWN, REFUND))

    report = await checked(ctx, against=["answerer:tuning"])

    assert [(one.example_id, one.kind, one.where) for one in report.findings] == [
        ("q0", "exact", "tuning.jsonl, line 1"),
        ("q1", "exact", "tuning.jsonl, line 3"),
    ]


async def test_findings_beyond_the_most_are_counted(evaluations: Evaluations, ctx: Context) -> None:
    questions = [f"{OWN} It is the machine of number {number} {number * 7} {number * 31}" for number in range(30)]
    await store_suite(ctx, asked(*questions))
    await store_suite(ctx, asked(*questions), name="copy")

    report = await checked(ctx, most=5, threshold=1.0)

    assert (len(report.findings), report.found, report.touched, report.share) == (5, 30, 30, 1.0)
    assert {one.places for one in report.findings} == {1}


async def test_only_suites_are_checked(evaluations: Evaluations, datasets: Datasets, ctx: Context) -> None:
    await datasets.snapshot(ctx, "d", pa.table({"a": ["x"]}))
    await store_suite(ctx, asked(OWN))

    with pytest.raises(BadInput, match="is not a suite"):
        await checked(ctx, "dataset:d")
    with pytest.raises(NotFound):
        await checked(ctx, against=["prompt:absent"])
