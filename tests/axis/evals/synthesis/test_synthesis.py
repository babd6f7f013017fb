"""Suites that a model writes: provenance, support by the passage, caps, crashes, and models that do not do as they are told."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from tests.axis.evaluating import store_suite
from tests.axis.synthesising import Writer, about

from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.evals.model import AddExamples, Example
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.synthesis.model import Passage, RunSynthesis, Synthesis, Synthesise, SynthesisReport
from gimbal.axis.evals.synthesis.service import carry_out
from gimbal.axis.evals.target import Foreseen
from gimbal.axis.scores.asking import Complete, Foresee
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, NotFound, Unpriced, Upstream
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

THINGS = ("pump", "boiler", "lift", "crane", "mill", "press", "drill", "saw", "lathe", "loom")


def passages(count: int) -> list[Passage]:
    return [
        Passage(
            id=f"guide.md#{at}", text=f"The {THINGS[at % 10]} {at} needs {at + 7} litres.", cluster=f"page{at // 2}"
        )
        for at in range(count)
    ]


async def begun(ctx: Context, **more: Any) -> Synthesis:
    body = Synthesise(name="help/written", model="acme/writer", **more)
    return await invoke(find("suites.synthesise"), ctx, {"project": "default", "body": body})


async def written(ctx: Context, steps: dict[str, Any] | None = None, **more: Any) -> SynthesisReport:
    """Carry a synthesis out here and now; `steps` are what a job has stored."""
    stored = steps if steps is not None else {}

    async def step(name: str, run: Any) -> Any:
        if name not in stored:
            stored[name] = await run()
        return stored[name]

    async def tell(done: int, total: int, spent: Decimal) -> None:
        await asyncio.sleep(0)

    body = Synthesise(name="help/written", model="acme/writer", **more)
    return await carry_out(ctx, RunSynthesis(body=body, source=body.source), step, tell)


async def examples_of(ctx: Context, report: SynthesisReport) -> list[Example]:
    assert report.ref is not None
    return await ctx.get(Suites).examples(await ctx.get(Assets).resolve(ctx, str(report.ref)))


async def test_every_example_says_where_it_came_from(model: Writer, ctx: Context) -> None:
    rows = passages(4)

    report = await written(ctx, passages=rows, slice=True, instructions="Ask in English.")
    examples = await examples_of(ctx, report)

    assert (report.passages, report.asked, report.examples, report.cost) == (4, 4, 4, Decimal("0.04"))
    assert [(one.input["question"], one.expected["answer"]) for one in examples] == [
        (about(row.text)["question"], "litres.") for row in rows
    ]
    assert [one.cluster for one in examples] == ["page0", "page0", "page1", "page1"]
    assert {one.slice for one in examples} == {"synthetic"}
    told = examples[1].metadata["synthetic"]
    assert told["passage"] == "guide.md#1"
    assert told["passage_digest"] == digest_of(rows[1].text.encode())
    assert told["prompt"] == digest_of(model.told[0]["content"].encode())
    assert (told["model"], told["evidence"], told["at"]) == ("acme/writer", rows[1].text, ctx.now().isoformat())
    assert told["trace_id"] in {f"trace{number}" for number in range(1, 5)}
    assert "Ask in English." in model.told[0]["content"]


@pytest.mark.parametrize(
    ("said", "dropped"),
    [
        ("I would rather tell you a story about pumps [1].", {"unparseable": 1}),
        ("", {"unparseable": 1}),
        ('["a", "b"]', {"unparseable": 1}),
        ("[" * 50_000, {"unparseable": 1}),
        ("[]", {}),
        ('[{"question": "What?", "answer": "7"}]', {"incomplete": 1}),
        ('[{"question": "What?", "answer": "", "evidence": "needs 7 litres"}]', {"incomplete": 1}),
        ('[{"question": "What?", "answer": "8", "evidence": "needs 8 litres"}]', {"unsupported": 1}),
        ('[{"question": ["What?"], "answer": {"a": 1}, "evidence": "needs 7 litres"}]', {"incomplete": 1}),
    ],
)
async def test_what_no_passage_supports_is_dropped_and_counted(
    model: Writer, ctx: Context, said: str, dropped: dict[str, int]
) -> None:
    model.say = lambda _: said

    report = await written(ctx, passages=passages(1))

    assert (report.ref, report.examples, report.asked, report.dropped) == (None, 0, 1, dropped)


@pytest.mark.parametrize("form", ["```json\n{}\n```", "Here you are:\n{}\nAnything else?", '{{"questions": {}}}', "{}"])
async def test_an_answer_among_prose_is_read(model: Writer, ctx: Context, form: str) -> None:
    """White space and line ends of a quotation do not count, all else does; a number is an answer."""
    row = {"question": "How much needs the pump?", "answer": 7, "evidence": "The pump 0\n needs  7 litres."}
    model.say = lambda _: form.format(json.dumps([row]))

    report = await written(ctx, passages=passages(1))

    assert [one.expected for one in await examples_of(ctx, report)] == [{"answer": "7"}]
    assert report.dropped == {}


async def test_questions_that_are_there_are_not_written_again(model: Writer, ctx: Context) -> None:
    """Neither those of the seeds nor one like another; and not more than was asked for."""
    question = "How many litres of oil does the machine in the cellar of the old house need for a whole winter?"
    seeds = [
        Example(id="s0", input={"question": question}, expected={"answer": "The machine takes 7 litres."}),
        Example(
            id="s1", input={"question": "Who mends the roof of the barn?"}, expected={"answer": "Nobody mends it."}
        ),
    ]
    await store_suite(ctx, seeds)

    def say(passage: str) -> str:
        evidence = passage.splitlines()[-1]
        fresh = f"Which of them is meant by {evidence}"
        asked = [question.upper(), f"{question} Please!", fresh, fresh + "!", "And who else might it be?"]
        return json.dumps([{"question": text, "answer": "x", "evidence": evidence} for text in asked])

    model.say = say

    report = await written(ctx, source="suite:help/questions", per_passage=4)
    examples = await examples_of(ctx, report)

    assert [one.input["question"] for one in examples] == [
        "Which of them is meant by The machine takes 7 litres.",
        "Which of them is meant by Nobody mends it.",
    ]
    assert report.dropped == {"duplicate": 4, "near_duplicate": 2, "superfluous": 2}
    assert {one.metadata["synthetic"]["source"] for one in examples} == {"suite:help/questions"}


async def test_what_equals_a_near_duplicate_is_dropped_as_that_is(model: Writer, ctx: Context) -> None:
    """The second resembles the first and goes; the third is the second once more, and so is not new either."""
    question = "How many litres of oil does the machine in the cellar of the old house need for a whole winter?"
    asked = [question, f"{question} Please!", f"{question} Please!"]
    model.say = lambda passage: json.dumps([{"question": text, "answer": "7", "evidence": passage} for text in asked])

    report = await written(ctx, passages=passages(1), per_passage=4)

    assert [one.input["question"] for one in await examples_of(ctx, report)] == [question]
    assert report.dropped == {"near_duplicate": 1, "duplicate": 1}


async def test_a_version_says_who_wrote_it_from_what(model: Writer, ctx: Context) -> None:
    """In its manifest with what was dropped, and as lineage; examples that are added later leave both."""
    seed = Example(id="s0", input={"question": "What needs oil?"}, expected={"answer": "The machine needs 7 litres."})
    source = await store_suite(ctx, [seed])

    report = await written(ctx, source=str(source.ref))
    version = await ctx.get(Assets).resolve(ctx, str(report.ref))
    more = AddExamples(examples=[Example(id="mine", input={"question": "Why?"})])
    later = await ctx.get(Suites).add(ctx, Ref("suite", version.name), more)

    (made,) = version.manifest["made"]
    assert (made["from"], made["model"], made["source"], made["examples"]) == (
        "synthesis",
        "acme/writer",
        str(source.ref),
        1,
    )
    assert (made["passages"], made["asked"], made["dropped"]) == (1, 1, {})
    assert version.inputs == later.inputs == [source.ref]
    assert later.manifest["made"] == [made]
    given = await written(ctx, passages=passages(1))
    assert (await ctx.get(Assets).resolve(ctx, str(given.ref))).inputs == []


async def test_the_pieces_of_a_long_text_count_as_left_out(model: Writer, ctx: Context) -> None:
    long = " ".join(f"Sentence {at} says that {at} is followed by {at + 1}." for at in range(2_000))

    planned = await begun(ctx, passages=[Passage(id="guide.md", text=long)], most=3, dry=True)

    assert (planned.plan.passages, planned.plan.left_out > 10) == (3, True)


async def test_the_cap_is_held_and_what_is_done_is_kept(model: Writer, ctx: Context) -> None:
    """A call may cost 0.02 and does cost 0.01: of 0.05 there is room for four."""
    report = await written(ctx, passages=passages(10), max_cost=Decimal("0.05"), concurrency=2)

    assert (report.asked, report.examples, report.cost) == (4, 4, Decimal("0.04"))
    assert "cap of $0.05" in report.stopped


async def test_calls_without_a_price_end_what_has_a_cap(model: Writer, ctx: Context) -> None:
    model.cost = None

    capped = await written(ctx, passages=passages(6), max_cost=Decimal(1), concurrency=2)
    free = await written(ctx, passages=passages(6))

    assert (capped.asked, capped.unpriced) == (2, 2)
    assert "not known" in capped.stopped
    assert (free.asked, free.unpriced, free.stopped) == (6, 6, "")
    model.foreseen = Foreseen(unpriced="nobody knows acme")
    with pytest.raises(Unpriced, match="nobody knows acme"):
        await begun(ctx, passages=passages(1), max_cost=Decimal(1))


async def test_a_crash_asks_nothing_again(model: Writer, ctx: Context) -> None:
    """What a step has stored stays; the suite is the one that would have been without the crash."""
    steps: dict[str, Any] = {}

    def crash(passage: str) -> str:
        if len(model.asked) > 5:
            raise RuntimeError
        return json.dumps([about(passage)])

    model.say = crash
    with pytest.raises(RuntimeError):
        await written(ctx, steps, passages=passages(8), concurrency=1)
    model.say = lambda passage: json.dumps([about(passage)])
    report = await written(ctx, steps, passages=passages(8), concurrency=1)

    assert sorted(set(model.asked)) == sorted(row.text for row in passages(8))
    assert len(model.asked) == 9  # the one that crashed was asked twice
    assert (report.asked, report.examples, report.cost) == (8, 8, Decimal("0.08"))


async def test_a_call_that_fails_does_not_stop_the_others(model: Writer, ctx: Context) -> None:
    def say(passage: str) -> str:
        if "pump" in passage:
            raise Upstream("The provider is away.", todo="Wait.")
        return json.dumps([about(passage)])

    model.say = say

    report = await written(ctx, passages=passages(3))

    assert (report.passages, report.asked, report.failed) == (3, 2, {Upstream("x").code: 1})
    with pytest.raises(Upstream):
        await written(ctx, passages=passages(1))


async def test_scripts_without_spaces_are_written_from(model: Writer, ctx: Context) -> None:
    text = "この製品の保証期間は購入日から二年間です。電池は対象外です。"
    model.say = lambda _: json.dumps(
        [{"question": "保証期間は何年ですか", "answer": "二年", "evidence": "保証期間は購入日から二年間です"}]
    )

    report = await written(ctx, passages=[Passage(id="ja", text=text), Passage(id="short", text="保証")])

    assert (report.passages, report.examples) == (1, 1)
    # Escaped, each sign would be six, of which a model cannot quote.
    assert text in model.told[-1]["content"]


async def test_rows_and_documents_of_versions_are_passages(model: Writer, ctx: Context) -> None:
    """A long cell is cut, and its pieces are one cluster; numbers are no passages."""
    datasets = Datasets(ctx.get(Assets), ctx.get(Blobs))
    long = " ".join(f"Sentence {at} says that {at} is followed by {at + 1}." for at in range(400))
    table = pa.table({"n": [1, 2, 3], "note": ["The mill grinds 5 sacks.", long, None]})
    await datasets.snapshot(ctx, "notes", table)

    report = await written(ctx, source="dataset:notes")
    examples = await examples_of(ctx, report)

    assert report.passages > 2
    assert all(len(text) <= 6_000 for text in model.asked)
    assert {one.cluster for one in examples} == {"data.parquet, note, row 1", "data.parquet, note, row 2"}
    assert "".join("".join(model.asked).split()) == "".join(f"The mill grinds 5 sacks. {long}".split())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "from passages, or from a version"),
        ({"passages": [Passage(id="a", text="")]}, "no passage with enough text"),
        ({"passages": [Passage(id="a", text="x" * 4_000_001)]}, "more than 4,000,000"),
        ({"passages": passages(1), "max_cost": Decimal(-1)}, "amount from 0"),
        ({"passages": [Passage(id="a", text="a b c d")], "source": "suite:s"}, "from passages, or from a version"),
    ],
)
async def test_without_anything_to_write_from_nothing_is_begun(
    model: Writer, ctx: Context, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        await begun(ctx, **more)

    assert (await ctx.get(Jobs).page(ctx)).items == []


async def test_a_dry_one_tells_the_cost_and_asks_nothing(model: Writer, ctx: Context) -> None:
    planned = await begun(ctx, passages=[*passages(8), Passage(id="short", text="No.")], most=5, dry=True)

    assert planned.job_id is None
    assert (planned.plan.passages, planned.plan.left_out, planned.plan.examples) == (5, 4, 10)
    assert (planned.plan.cost, planned.plan.most) == (Decimal("0.05"), Decimal("0.10"))
    assert model.asked == []
    with pytest.raises(NotFound):
        await begun(ctx, passages=passages(1), scorers=["bleurt"], dry=True)
    with pytest.raises(NotFound):
        await begun(ctx, source="dataset:absent", dry=True)


async def test_a_worker_carries_it_out(model: Writer, ctx: Context, services: Services) -> None:
    services.register(Clock, SystemClock())
    services.register(Jobs, Jobs(services.get(Catalog), SystemClock()))
    assert services.has(Complete)
    assert services.has(Foresee)
    stop = asyncio.Event()
    task = asyncio.create_task(Worker(services, name="w").run(stop))

    started = await begun(ctx, passages=passages(5))
    job: Job = await ctx.get(Jobs).get(ctx, str(started.job_id))
    async with asyncio.timeout(20):
        while job.finished_at is None:
            await asyncio.sleep(0.02)
            job = await ctx.get(Jobs).get(ctx, job.id)
    stop.set()
    await task

    assert (job.status, job.done, job.total) == ("succeeded", 5, 5), job.error
    assert (job.result["examples"], job.result["cost"]) == (5, "0.05")
    assert (await ctx.get(Assets).resolve(ctx, "suite:help/written")).manifest["clusters"] == 3
