"""Suites: JSON lines in and out, versions by content, and every line that is wrong named by its number."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.evaluating import examples, store_suite

from gimbal.axis.assets.model import FileEntry
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import AddExamples, CreateSuite, Example, decode_examples, encode_examples
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import decode_body, find, invoke
from gimbal.kernel.refs import Ref

LINE = b'{"id":"a","input":{"question":"x"}}\n'
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


@settings(max_examples=40)
@given(st.lists(st.builds(Example, id=st.text(min_size=1), input=OBJECTS, expected=OBJECTS, cluster=st.none() | st.text()), max_size=4, unique_by=lambda e: e.id))  # fmt: skip
def test_examples_survive_json_lines(rows: list[Example]) -> None:
    """Line separators of Unicode inside texts are no ends of lines."""
    assert decode_examples(encode_examples(rows)) == rows


def test_lines_may_come_from_any_editor() -> None:
    """With a byte order mark, Windows line ends, empty lines and no end of the last line."""
    plain = decode_examples(LINE + b'{"id":"b","input":{}}\n')

    assert decode_examples(b"\xef\xbb\xbf" + LINE + b"\r\n  \r\n" + b'{"id":"b","input":{}}') == plain
    assert [e.id for e in plain] == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b'{"id":"b"}', "missing required field `input`"),
        (b'{"id":"b","input":[]}', "Expected `object`"),
        (b'{"id":"b","input":{},"expcted":{}}', "unknown field `expcted`"),
        (b'{"id":"b","input":{}', "truncated"),
        (b'{"id":"b\xff","input":{}}', "not UTF-8"),
        ('{"id":"b","input":{}}'.encode("utf-16"), "malformed"),
        (b'{"id":"b","input":{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}}", "too deeply"),
        (b'{"id":"a","input":{}}', "'a' of line 1"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, told: str) -> None:
    """By its number in the file, empty lines counted."""
    with pytest.raises(BadInput, match=told) as refused:
        decode_examples(LINE + b"\n" + bad + b"\n")

    assert refused.value.where == "line 3"
    assert "Line 3" in refused.value.message


async def test_the_same_examples_are_the_same_version(evaluations: Evaluations, ctx: Context) -> None:
    """A changed example or scorer makes another; order counts, because results are numbered by it."""
    rows = examples(4, clusters=2)
    first = await store_suite(ctx, rows)

    assert (await store_suite(ctx, rows)).id == first.id
    assert first.manifest == {"examples": 4, "clusters": 2, "scorers": ["exact_match"]}
    changed = [msgspec.structs.replace(rows[0], expected={"answer": "else"}), *rows[1:]]
    numbers = [
        (await store_suite(ctx, changed)).number,
        (await store_suite(ctx, rows, ["exact_match", "token_f1"])).number,
        (await store_suite(ctx, rows[::-1])).number,
    ]
    assert numbers == [2, 3, 4]
    assert await ctx.get(Suites).examples(first) == rows
    asked = {"project": "default", "ref": Ref.parse("suite:help/questions@v2")}
    assert await invoke(find("suites.examples"), ctx, asked) == changed


async def test_an_example_without_a_cluster_is_its_own(evaluations: Evaluations, ctx: Context) -> None:
    assert (await store_suite(ctx, examples(5))).manifest["clusters"] == 5


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (CreateSuite(name="s", examples=[], scorers=["exact_match"]), "examples"),
        (CreateSuite(name="s", examples=examples(2) + examples(1), scorers=["exact_match"]), "examples[2].id"),
        (CreateSuite(name="s", examples=[Example(id="", input={})], scorers=["exact_match"]), "examples[0].id"),
        (CreateSuite(name="s", examples=[Example(id="i" * 201, input={})], scorers=["exact_match"]), "examples[0].id"),
        (CreateSuite(name="s", examples=examples(1), scorers=[]), "scorers"),
        (CreateSuite(name="s", examples=examples(1), scorers=["exact_match", "exact_match"]), "scorers"),
        (CreateSuite(name="A b", examples=examples(1), scorers=["exact_match"]), "name"),
    ],
)
async def test_a_suite_that_makes_no_sense_is_refused(
    evaluations: Evaluations, ctx: Context, body: CreateSuite, where: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await ctx.get(Suites).create(ctx, body)

    assert refused.value.where == where
    assert (await ctx.get(Assets).page(ctx, kind="suite")).items == []


async def test_an_unknown_scorer_is_named_with_those_there_are(evaluations: Evaluations, ctx: Context) -> None:
    with pytest.raises(NotFound, match="'bleurt'") as refused:
        await store_suite(ctx, examples(1), ["exact_match", "bleurt"])

    assert "token_f1" in refused.value.todo


@pytest.mark.parametrize(
    "manifest",
    [{}, {"examples": 1, "scorers": []}, {"examples": 0, "scorers": ["exact_match"]}, {"examples": "1", "scorers": ["exact_match"]}, {"examples": 1, "scorers": [1]}],
)  # fmt: skip
async def test_a_suite_made_by_hand_has_what_an_evaluation_needs(
    evaluations: Evaluations, ctx: Context, blobs: Blobs, manifest: dict[str, object]
) -> None:
    """What `assets.add` would store as a suite is checked before, not when it is run."""
    blob = await blobs.put(LINE)
    entry = FileEntry(path="examples.jsonl", digest=blob.digest, size=blob.size)

    with pytest.raises(BadInput, match="suite"):
        await ctx.get(Assets).add_version(ctx, kind="suite", name="s", manifest=manifest, files=[entry])
    with pytest.raises(BadInput, match="suite"):
        await ctx.get(Assets).add_version(
            ctx, kind="suite", name="s", manifest={"examples": 1, "scorers": ["exact_match"]}
        )


def test_a_body_with_a_field_too_many_says_where() -> None:
    with pytest.raises(BadInput) as refused:
        decode_body(b'{"name":"s","scorers":[],"examples":[{"id":"a","input":{}},{"id":"b","output":1}]}', CreateSuite)

    assert refused.value.where.startswith("examples[")


async def test_examples_are_added_to_what_is_newest(ctx: Context, evaluations: Evaluations) -> None:
    """Scorers stay; ids that are there, and versions that are named, are refused."""
    await store_suite(ctx, examples(3))
    suite, add = Ref.parse("suite:help/questions"), find("suites.add")
    one = Example(id="new", input={"question": "x"}, expected={"answer": "y"})

    made = await invoke(add, ctx, {"project": "default", "ref": suite, "body": AddExamples(examples=[one])})

    suites = ctx.get(Suites)
    assert [example.id for example in await suites.examples(made)] == ["q0", "q1", "q2", "new"]
    assert (
        made.manifest["scorers"]
        == (await ctx.get(Assets).resolve(ctx, Ref.parse("suite:help/questions@v1"))).manifest["scorers"]
    )
    for ref, body, where in (
        (suite, [one], "examples[0].id"),
        (suite, [], "examples"),
        (Ref.parse("suite:help/questions@v1"), [one], "ref"),
        (Ref.parse("prompt:help/questions"), [one], "ref"),
    ):
        with pytest.raises(BadInput) as refused:
            await suites.add(ctx, ref, AddExamples(examples=body))
        assert refused.value.where == where
    with pytest.raises(NotFound):
        await suites.add(ctx, Ref.parse("suite:nobody"), AddExamples(examples=[one]))


async def test_of_several_who_add_at_once_nobody_is_lost(ctx: Context, evaluations: Evaluations) -> None:
    await store_suite(ctx, examples(1))
    suites, suite = ctx.get(Suites), Ref.parse("suite:help/questions")
    rows = [Example(id=f"new{number}", input={"question": "x"}) for number in range(6)]

    await asyncio.gather(*(suites.add(ctx.within("default"), suite, AddExamples(examples=[row])) for row in rows))

    newest = await ctx.get(Assets).resolve(ctx, suite)
    assert {example.id for example in await suites.examples(newest)} == {"q0", *(row.id for row in rows)}
