"""Suites from traces: which are chosen, what becomes of them, what is dropped and why, and how it is written down."""

from typing import Any

import msgspec
import pytest
from tests.axis.evals.building.conftest import Build, asked, judge, keep, question, trace_id
from tests.axis.traces import wire
from tests.axis.traces.test_aggregate import NOON, call

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.building.model import BuiltSuite
from gimbal.axis.evals.model import CreateSuite, Example
from gimbal.axis.evals.suites import Suites
from gimbal.axis.scores.model import ScoreSource
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Ref


async def stored(here: Context, name: str = "help/real") -> list[Example]:
    return await here.get(Suites).examples(await here.get(Assets).resolve(here, Ref("suite", name)))


async def version_of(here: Context, built: BuiltSuite) -> Version:
    return await here.get(Assets).resolve(here, str(built.ref))


async def test_a_trace_becomes_an_example_with_what_is_known_of_it(build: Build, here: Context) -> None:
    """What a prompt's chain records are its variables; ids of sessions are told by a digest only."""
    refs = ["index:docs@v3", "prompt:help/answer@v2"]
    chain = asked(
        1, {"question": "Where is it?", "tone": "kind"}, answer="In Ulm [1].", refs=refs, session_id="ann@example.org",
        model="m7", name="answer prompt:help/answer",
    )  # fmt: skip
    await keep(here, chain, call(9, trace=1, parent_id=chain.span_id, input='"not this"'))
    await judge(here, 1, "thumbs", value=1)

    built = await build(answers=True)

    (one,) = await stored(here)
    assert (built.examples, built.expected, built.looked_at, built.share, built.dropped) == (1, 1, 1, 1.0, {})
    assert (one.id, one.input) == (trace_id(1), {"question": "Where is it?", "tone": "kind"})
    assert one.expected == {"answer": "In Ulm."}
    assert one.cluster is not None
    assert one.cluster.startswith("session-")
    assert "ann" not in one.cluster
    assert one.metadata == {
        "trace": trace_id(1), "span": chain.span_id, "at": from_us(NOON + 1000).isoformat().replace("+00:00", "Z"),
        "refs": refs, "model": "m7", "scores": {"thumbs": 1.0},
    }  # fmt: skip
    assert built.samples == [one]


SPANS: list[tuple[Any, dict[str, Any]]] = [
    ("Why?", {"question": "Why?"}),
    ([{"role": "user", "content": "Why?"}], {"question": "Why?"}),
    (
        {"model": "m", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]},
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}], "question": "Why?"},
    ),
    ([1, 2], {"input": [1, 2]}),
    ({"age": 3, "name": "x"}, {"age": 3, "name": "x"}),
    (7, {"input": 7}),
    ({"args": ["Why?"], "kwargs": {"k": 3}}, {"question": "Why?", "k": 3}),
    ({"args": [{"a": 1}], "kwargs": {}}, {"a": 1}),
    ({"args": [1, 2], "kwargs": {}}, {"args": [1, 2]}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "told"), SPANS, ids=[str(given)[:30] for given, _ in SPANS])
async def test_what_went_in_is_read_by_its_form(build: Build, here: Context, given: Any, told: dict[str, Any]) -> None:
    await keep(here, asked(1, given, kind="llm"))

    assert (await build(dry_run=True)).samples[0].input == told


ANSWERS: list[tuple[Any, dict[str, Any]]] = [
    ("Because.", {"answer": "Because."}),
    ([{"role": "assistant", "content": "Because."}], {"answer": "Because."}),
    ({"choices": [{"message": {"role": "assistant", "content": "Because."}}]}, {"answer": "Because."}),
    ({"total": 3}, {"json": {"total": 3}}),
    (2.5, {"number": 2.5}),
    ("[email:dropped]", {}),
    ("", {}),
]


@pytest.mark.parametrize(("said", "told"), ANSWERS, ids=[str(said)[:30] for said, _ in ANSWERS])
async def test_the_recorded_answer_is_what_a_scorer_reads(
    build: Build, here: Context, said: Any, told: dict[str, Any]
) -> None:
    await keep(here, asked(1, answer=said))

    assert (await build(dry_run=True, answers=True)).samples[0].expected == told


async def test_the_span_is_the_one_that_is_asked_for(build: Build, here: Context) -> None:
    """Without a word it is the root, or the first model call where the root says nothing."""
    root = asked(1, "root", name="outer")
    await keep(
        here,
        root,
        call(7, trace=1, parent_id=root.span_id, input='"first"', at_us=NOON + 2000),
        call(8, trace=1, parent_id=root.span_id, input='"second"', name="last", at_us=NOON + 3000),
        asked(2, {}, kind="http"),
        call(6, trace=2, parent_id=f"{3:016x}", input='"inner"', at_us=NOON + 2500),
    )

    async def taken(span: str) -> list[str]:
        built = await build(span=span, dry_run=True)
        return sorted(one.input["question"] for one in built.samples)

    assert await taken("") == ["inner", "root"]
    assert await taken("root") == ["root"]
    assert await taken("llm") == ["first", "inner"]
    assert await taken("name=last") == ["second"]


DROPPED: list[tuple[Any, str]] = [
    ("", "no_input"),
    ({}, "no_input"),
    ({"question": ""}, "no_input"),
    ("[redaction:failed]", "redacted"),
    ({"question": "[email:dropped]"}, "redacted"),
    ({"blob": "b3:" + "0" * 64, "size": 99_999, "start": "Once"}, "too_long"),
    (f"What is on gimbal-media:b3:{'0' * 64};type=image/png;size=9?", "media"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}], "media"),
]


@pytest.mark.parametrize(("given", "reason"), DROPPED, ids=[f"{reason} {place}" for place, (_, reason) in enumerate(DROPPED)])  # fmt: skip
async def test_what_cannot_be_an_example_is_counted_by_reason(
    build: Build, here: Context, given: Any, reason: str
) -> None:
    await keep(here, asked(1, given, kind="llm"), asked(2))

    built = await build(dry_run=True)

    assert (built.examples, built.dropped) == (1, {reason: 1})


async def test_no_json_and_deep_json_are_unreadable(build: Build, here: Context) -> None:
    """Half a surrogate pair is no JSON; NUL and any script are."""
    texts = ("{", '{"a":' * 3000 + "1" + "}" * 3000, r'"\ud800"', r'"a\u0000b"', '"größer 東京 👍"')
    await keep(here, *(msgspec.structs.replace(asked(n), input=text) for n, text in enumerate(texts, 1)))

    built = await build()

    assert built.dropped == {"unreadable": 3}
    assert {one.input["question"] for one in await stored(here)} == {"a\0b", "größer 東京 👍"}


async def test_what_was_too_long_to_be_kept_is_no_example(build: Build, here: Context) -> None:
    """As it comes in: the span has only how it begins; what fits is whole."""
    long = "very " * 40_000
    rows = [wire.span(wire.trace_id(), n, attributes={"gimbal.input": f"{text}?"}) for n, text in enumerate(("short", long), 1)]  # fmt: skip
    assert await ingest(here, wire.request(*rows)) == []

    built = await build(dry_run=True)

    assert ([one.input for one in built.samples], built.dropped) == ([{"question": "short?"}], {"too_long": 1})


async def test_traces_are_chosen_like_a_list_of_them(build: Build, here: Context) -> None:
    await keep(
        here,
        asked(1, feature="help", refs=["prompt:help/answer@v1"]),
        asked(2, feature="sales", refs=["prompt:help/answer@v2"], hour=2),
        asked(3, feature="help", attributes={"tenant": "acme"}, hour=4, ms=9000),
    )

    async def chosen(**said: Any) -> list[str]:
        return sorted(int(one.id, 16) for one in (await build(dry_run=True, **said)).samples)

    assert await chosen() == [1, 2, 3]
    assert await chosen(feature="help") == [1, 3]
    assert await chosen(ref="prompt:help/answer@v2") == [2]
    assert await chosen(attribute=["tenant:acme"]) == [3]
    assert await chosen(since=from_us(NOON + 3_600_000_000)) == [2, 3]
    assert await chosen(until=from_us(NOON + 3_600_000_000)) == [1]
    assert await chosen(min_ms=5000) == [3]


async def test_traces_of_evaluations_are_left_out_unless_asked_for(build: Build, here: Context) -> None:
    """A suite of the suite's own questions would test itself."""
    await keep(here, asked(1), asked(2, feature="evaluation"))

    built = await build(dry_run=True)

    assert ([one.id for one in built.samples], built.dropped) == ([trace_id(1)], {"evaluation": 1})
    assert (await build(dry_run=True, feature="evaluation")).examples == 1


@pytest.mark.parametrize("feature", ["scoring", "optimisation", "gimbal.check"])
async def test_what_gimbal_itself_asked_is_left_out_as_well(build: Build, here: Context, feature: str) -> None:
    """Judges, models that write suites and searches for prompts ask more than a day of production."""
    await keep(here, asked(1), asked(2, feature=feature))

    built = await build(dry_run=True)

    assert ([one.id for one in built.samples], built.dropped) == ([trace_id(1)], {"evaluation": 1})
    assert (await build(dry_run=True, feature=feature)).examples == 1


async def test_the_same_inputs_are_there_once(build: Build, here: Context) -> None:
    """Exact ones in any case and spacing; near ones from the threshold on; a system's words do not make two alike."""
    long = "please tell me how many boats lie in the harbour of the small town by the lake this evening"
    await keep(
        here,
        asked(1, {"question": long}),
        asked(2, {"question": f"  {long.upper()} "}),
        asked(3, {"question": f"{long} then"}),
        *(
            asked(n, [{"role": "system", "content": long * 5}, {"role": "user", "content": question(n)}], kind="llm")
            for n in (4, 5)
        ),
    )

    near = await build(dry_run=True)
    exact = await build(dry_run=True, near=1.0)

    assert (near.examples, near.dropped.get("duplicate", 0) + near.dropped["near_duplicate"]) == (3, 2)
    assert (exact.examples, exact.dropped) == (4, {"duplicate": 1})


async def test_of_a_crowd_one_is_left(build: Build, here: Context) -> None:
    """Three hundred variants of one long question, over more batches than one."""
    long = "please tell me how many boats lie in the harbour of the small town by the lake this evening before we go"
    await keep(here, *(asked(n, {"question": f"{long} {n}"}) for n in range(1, 301)))

    built = await build(dry_run=True)

    assert (built.examples, built.dropped) == (1, {"near_duplicate": 299})


async def test_the_next_version_has_what_was_drawn_and_keeps_the_scorers(build: Build, here: Context) -> None:
    await keep(here, asked(1), asked(2))
    first = await build(scorers=["exact_match", "rouge"], repeats=3, task="prompt:help/answer")
    again = await build(scorers=["exact_match", "rouge"], repeats=3, task="prompt:help/answer")
    await keep(here, asked(3))

    second = await build(scorers=[])

    assert (first.ref.number, again.ref, second.ref.number) == (1, first.ref, 2)
    manifest = (await version_of(here, second)).manifest
    assert (manifest["scorers"], manifest["repeats"], manifest["task"]) == (
        ["exact_match", "rouge"],
        3,
        "prompt:help/answer",
    )
    assert len(await stored(here)) == 3


async def test_examples_are_added_to_what_is_there(build: Build, here: Context) -> None:
    """What the suite has already, by its trace or its words, is not added again."""
    by_hand = Example(id="mine", input={"question": question(2)})
    await here.get(Suites).create(here, CreateSuite(name="help/real", examples=[by_hand], scorers=["exact_match"]))
    await keep(here, asked(1), asked(2))
    await build(scorers=[], add=True)
    await keep(here, asked(3))

    built = await build(scorers=[], add=True)

    assert sorted(one.id for one in await stored(here)) == sorted(["mine", trace_id(1), trace_id(3)])
    assert built.dropped == {"present": 1, "duplicate": 1}
    assert [one["examples"] for one in (await version_of(here, built)).manifest["made"]] == [1, 1]


async def test_a_version_says_how_it_was_made(build: Build, here: Context) -> None:
    await keep(here, asked(1, user_id="ann@example.org"), asked(2, "", user_id="ann@example.org"))

    built = await build(user="ann@example.org", seed=4)

    version = await version_of(here, built)
    (made,) = version.manifest["made"]
    assert (made["from"], made["seed"], made["looked_at"], made["dropped"]) == ("traces", 4, 2, {"no_input": 1})
    assert made["filter"]["user"].startswith("user-")
    assert "ann@" not in str(version.manifest)
    assert "2 traces" in version.note


async def test_a_preview_stores_nothing(build: Build, here: Context) -> None:
    await keep(here, *(asked(n) for n in range(1, 15)))

    built = await build(dry_run=True, scorers=[])

    assert (built.ref, built.examples, len(built.samples)) == (None, 14, 10)
    assert (await here.get(Assets).page(here, kind="suite")).items == []


async def test_nothing_that_fits_is_told_with_the_reasons(build: Build, here: Context) -> None:
    await keep(here, asked(1, ""), asked(2, "[redaction:failed]"))

    with pytest.raises(BadInput, match=r"No example came of 2 traces: 1 no_input, 1 redacted\."):
        await build()
    with pytest.raises(BadInput, match=r"No example came of 0 traces\."):
        await build(feature="nobody")
    assert (await build(feature="nobody", dry_run=True)).examples == 0


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "A b"}, "name"),
    ({"name": "help/real@v1"}, "name"),
    ({"name": "model:help/real"}, "name"),
    ({"scorers": []}, "scorers"),
    ({"by": "colour"}, "by"),
    ({"by": "attribute:"}, "by"),
    ({"by": "slice"}, "by"),
    ({"slice": "user"}, "slice"),
    ({"span": "llms"}, "span"),
    ({"keep": ["secret"]}, "keep"),
    ({"keep": ["names"]}, "detectors"),
    ({"good": ["thumbs:<x"]}, "score"),
    ({"attribute": ["tenant"]}, "attribute"),
]


@pytest.mark.parametrize(("said", "where"), BAD, ids=[str(said) for said, _ in BAD])
async def test_what_cannot_be_meant_is_refused(build: Build, here: Context, said: dict[str, Any], where: str) -> None:
    await keep(here, asked(1))

    with pytest.raises(BadInput) as refused:
        await build(**said)

    assert refused.value.where == where


async def test_to_add_needs_a_suite_and_leaves_its_scorers(build: Build, here: Context) -> None:
    await keep(here, asked(1))

    with pytest.raises(NotFound):
        await build(add=True, scorers=[])
    await build()
    with pytest.raises(BadInput, match="stay"):
        await build(add=True)


async def test_feedback_chooses_traces_and_says_what_was_good(build: Build, here: Context) -> None:
    """Corrections become the expected answer; a good answer is its own; the rest have none, and say what was said."""
    await keep(here, *(asked(n, answer=f"answer {n}") for n in range(1, 6)))
    await judge(here, 1, "thumbs", value=1)
    await judge(here, 2, "thumbs", value=0)
    await judge(here, 3, "thumbs", value=0, explanation="too long")
    await judge(here, 3, "better", label="short", explanation="Say it in a word, call bob@example.org.", source=ScoreSource.HUMAN)  # fmt: skip
    await judge(here, 4, "thumbs", value=0, metadata={"correction": "Forty-two."})
    await judge(here, 5, "thumbs", missing="timeout")

    built = await build(dry_run=True, score=["thumbs"], scored_by="user", good=["thumbs:>=1"], correction=["better"])

    found = {int(one.id, 16): one for one in built.samples}
    assert {number: one.expected for number, one in found.items()} == {
        1: {"answer": "answer 1"},
        2: {},
        3: {"answer": "Say it in a word, call [EMAIL_1]."},
        4: {"answer": "Forty-two."},
    }
    assert found[2].metadata["scores"] == {"thumbs": 0.0}
    assert (built.expected, built.replaced) == (3, {"email": 1})


async def test_a_correction_takes_the_place_of_what_was_recorded_whatever_its_form(build: Build, here: Context) -> None:
    await keep(here, asked(1, answer=41), asked(2, answer=43))
    await judge(here, 1, "thumbs", value=0, metadata={"correction": "42"})

    built = await build(dry_run=True, answers=True)

    assert {int(one.id, 16): one.expected for one in built.samples} == {1: {"answer": "42"}, 2: {"number": 43}}


async def test_a_slice_is_called_the_same_whatever_stands_beside_it(build: Build, here: Context) -> None:
    tenant = {"tenant": "ann@example.org"}
    await keep(here, asked(1, attributes=tenant), asked(2, "Where is bob@example.org?", attributes=tenant))

    built = await build(dry_run=True, slice="attribute:tenant")

    assert {one.slice for one in built.samples} == {"[EMAIL_1]"}
    assert built.replaced == {"email": 3}


async def test_what_mlflows_clients_expect_is_expected(build: Build, here: Context) -> None:
    await keep(here, asked(1))
    said = {"mlflow": {"kind": "expectation", "value": ["a", "b"]}}
    await judge(here, 1, "expected_facts", label="x", metadata=said)
    await judge(here, 1, "expected_response", label="x", metadata={"mlflow": {"kind": "expectation", "value": "Yes."}})

    (one,) = (await build(dry_run=True)).samples

    assert one.expected == {"answer": "Yes.", "claims": ["a", "b"]}
    assert "scores" not in one.metadata
