"""Evaluation runs: every example once, what fails is missing and not wrong, and a cut-off run goes on where it was."""

import asyncio
import contextlib
import math
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evaluating import SUBJECT, SUITE, Answers, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import EvaluationRun, Example, StartEvaluation
from gimbal.axis.evals.running import Progress
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.engines.stats import estimates
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Forbidden, NotFound, Unavailable, Upstream
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import encode_cursor
from gimbal.kernel.settings import Settings


def odd(expected: object, output: object) -> ScoreValue:
    """Give what other people's scorers have given: no number, out of range, an exception."""
    assert isinstance(output, dict)
    found = {"nan": math.nan, "negative": -1.5, "percent": 85.0, "good": 0.5}.get(output["text"])
    if found is None:
        message = "no idea"
        raise ValueError(message)
    return ScoreValue(value=found)


SCORERS.add("test_odd", odd)


async def start(ctx: Context, subject: str = SUBJECT, **options: Any) -> EvaluationRun:
    return await ctx.get(Evaluations).start(ctx, StartEvaluation(suite=SUITE, subject=subject, **options))


async def test_the_estimates_are_those_of_the_rows(evaluations: Evaluations, ctx: Context) -> None:
    """Mean and interval are what engines/stats says of the stored values and clusters; the order is the suite's."""
    await store_suite(ctx, examples(30, clusters=6), ["exact_match", "token_f1"])
    run = await evaluate(ctx, await store_subject(ctx, 1, wrong=["q1", "q2", "q7", "q8"]))

    rows = await evaluations.results(ctx, run.id)

    assert (run.status, run.done, run.total) == ("done", 30, 30)
    assert [r.example_id for r in rows] == [f"q{i}" for i in range(30)]
    assert [r.scores["exact_match"] for r in rows] == [0.0 if i in {1, 2, 7, 8} else 1.0 for i in range(30)]
    clusters = [f"page{i % 6}" for i in range(30)]
    for summary in run.summaries:
        assert summary.estimate == estimates.mean([r.scores[summary.scorer] for r in rows], clusters)
        assert summary.missing == {}
    assert run.summaries[0].estimate.value == pytest.approx(26 / 30)
    assert (run.latency_p50_ms, run.latency_p95_ms) == (10.0, 10.0)


async def test_a_failed_call_is_missing_and_not_zero(evaluations: Evaluations, ctx: Context, answers: Answers) -> None:
    """Whether the target says so, raises one of our errors or one of its own; the others go on."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        if example.id == "q1":
            return TargetOutput(error="the provider said no", trace_id="t1")
        if example.id == "q2":
            raise Upstream("The provider is away.", todo="Try again.")
        if example.id == "q3":
            raise KeyError("question")
        if example.id == "q4":
            return TargetOutput(text=None)
        return TargetOutput(text=f"word{example.id[1:]}")

    answers.answer = answer
    rows = [*examples(9), Example(id="open", input={})]
    await store_suite(ctx, rows)
    run = await evaluate(ctx, await store_subject(ctx, 1))

    found = {r.example_id: r for r in await evaluations.results(ctx, run.id)}
    assert run.status == "done"
    assert run.summaries[0].missing == {"error": 3, "no_output": 1, "no_expectation": 1}
    assert (run.summaries[0].estimate.value, run.summaries[0].estimate.n) == (1.0, 5)
    assert [found[q].missing for q in ("q0", "q1", "q4", "open")] == [
        {},
        {"exact_match": "error"},
        {"exact_match": "no_output"},
        {"exact_match": "no_expectation"},
    ]
    assert [found[q].scores for q in ("q1", "q4")] == [{}, {}]
    assert (found["q1"].error, found["q1"].trace_id) == ("the provider said no", "t1")
    assert "The provider is away." in found["q2"].error
    assert found["q3"].error == "KeyError: 'question'"


async def test_where_every_call_fails_there_is_no_mean(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    async def answer(version: Version, example: Example) -> TargetOutput:
        return TargetOutput(error="down")

    answers.answer = answer
    await store_suite(ctx, examples(3))
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert (run.status, run.cost, run.unpriced, run.latency_p50_ms) == ("done", None, 3, None)
    assert (run.summaries[0].estimate.value, run.summaries[0].estimate.undefined) == (None, "no values")


async def test_a_scorer_that_misbehaves_leaves_a_gap_and_not_a_number(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """Not a number, a value off the scale and an exception are typed as missing; the run goes on."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        return TargetOutput(text=example.id)

    answers.answer = answer
    await store_suite(
        ctx, [Example(id=i, input={}) for i in ("nan", "negative", "percent", "boom", "good")], ["test_odd"]
    )
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert run.status == "done"
    assert run.summaries[0].missing == {"out_of_range": 3, "scorer_error": 1}
    assert (run.summaries[0].estimate.value, run.summaries[0].estimate.n) == (0.5, 1)


async def test_costs_are_exact_and_unknown_ones_are_counted(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    async def answer(version: Version, example: Example) -> TargetOutput:
        known = {"q0": Decimal("0.1"), "q1": Decimal("0.000000000002"), "q2": Decimal(0)}
        return TargetOutput(text="x", cost=known.get(example.id))

    answers.answer = answer
    await store_suite(ctx, examples(4))
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert (run.cost, run.unpriced) == (Decimal("0.100000000002"), 1)
    assert [r.cost for r in await evaluations.results(ctx, run.id)] == [
        Decimal("0.1"),
        Decimal("0.000000000002"),
        Decimal(0),
        None,
    ]


async def test_a_cut_off_run_goes_on_where_it_was(
    evaluations: Evaluations, ctx: Context, answers: Answers, columns: Columns
) -> None:
    """What was answered and stored is neither asked nor paid again, and counts in cost and estimate."""
    hang = asyncio.Event()

    async def answer(version: Version, example: Example) -> TargetOutput:
        if int(example.id[1:]) >= 12:
            await hang.wait()
        return TargetOutput(text=f"word{example.id[1:]}", cost=Decimal("0.01"))

    answers.answer = answer
    await store_suite(ctx, examples(20))
    await store_subject(ctx, 1)
    run = await start(ctx)
    first = asyncio.create_task(evaluations.run(ctx, run.id))
    async with asyncio.timeout(10):
        while len(await evaluations.results(ctx, run.id)) < 12:  # noqa: ASYNC110 - the columns tell no one
            await asyncio.sleep(0.01)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    cut = await evaluations.runs.get(ctx, run.id)
    asked = len(answers.asked)
    hang.set()
    done = await evaluations.run(ctx, run.id)

    assert (cut.status, cut.done, cut.cost, cut.summaries[0].estimate.n) == ("cancelled", 12, Decimal("0.12"), 12)
    assert sorted(q for _, q in answers.asked[asked:]) == [f"q{i}" for i in range(12, 20)]
    assert (done.status, done.done, done.cost, done.unpriced) == ("done", 20, Decimal("0.2"), 0)
    assert done.summaries[0].estimate.n == 20
    again = await evaluations.run(ctx, run.id)
    assert again == done
    assert len(answers.asked) == asked + 8
    rows = await columns.query(
        "SELECT count() AS n FROM eval_results WHERE evaluation_id = {id:String}", {"id": run.id}
    )
    assert rows == [{"n": 20}]


async def test_progress_is_told_and_kept(evaluations: Evaluations, ctx: Context, answers: Answers) -> None:
    """At the end as well, never backwards, with what is left of the time."""
    told: list[Progress] = []

    async def tell(now: Progress) -> None:
        told.append(now)

    async def answer(version: Version, example: Example) -> TargetOutput:
        await asyncio.sleep(0.06)
        return TargetOutput(text="x")

    answers.answer = answer

    await store_suite(ctx, examples(25))
    await store_subject(ctx, 1)
    run = await start(ctx, concurrency=1)
    await evaluations.run(ctx, run.id, progress=tell)

    assert (run.done, run.total) == (0, 25)
    assert len(told) >= 3
    assert [now.done for now in told] == sorted(now.done for now in told)
    assert (told[-1].done, told[-1].total, told[-1].left_s) == (25, 25, 0.0)
    assert told[0].left_s is not None
    assert told[0].left_s > 0


async def test_no_more_examples_at_once_than_asked_for(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    under_way = most = 0

    async def answer(version: Version, example: Example) -> TargetOutput:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return TargetOutput(text="x")

    answers.answer = answer
    await store_suite(ctx, examples(20))
    await store_subject(ctx, 1)
    await evaluations.run(ctx, (await start(ctx, concurrency=3)).id)

    assert most == 3


async def test_a_run_that_cannot_go_on_says_why_and_can_be_tried_again(evaluations: Evaluations, ctx: Context) -> None:
    """A store that is away fails the run with its reason; the next attempt ends well and takes the reason back."""
    await store_suite(ctx, examples(3))
    await store_subject(ctx, 1)
    run = await start(ctx)

    closed = Writer(ctx.get(Columns), Settings().writer)
    await closed.close()
    broken = Evaluations(ctx.get(Catalog), ctx.get(Columns), closed, ctx.get(Assets), ctx.get(Suites))
    with pytest.raises(Unavailable, match="Gimbal is stopping"):
        await broken.run(ctx, run.id)
    failed = await evaluations.runs.get(ctx, run.id)
    done = await evaluations.run(ctx, run.id)

    assert failed.status == "failed"
    assert "Gimbal is stopping" in failed.error
    assert failed.finished_at == ctx.now()
    assert (done.status, done.error, done.done) == ("done", "", 3)


async def test_what_cannot_be_evaluated_is_refused_before(evaluations: Evaluations, ctx: Context) -> None:
    suite = await store_suite(ctx, examples(2))
    await store_subject(ctx, 1)

    for suite_text, subject, concurrency, error, told in (
        ("suite:help/other", SUBJECT, 4, NotFound, "help/other"),
        (SUITE, "answerer:help/none", 4, NotFound, "help/none"),
        (SUITE, str(suite.ref), 4, NotFound, "'suite' among the targets"),
        (SUBJECT, SUBJECT, 4, BadInput, "is not a suite"),
        (SUITE, SUBJECT, 0, BadInput, "1 to 64"),
        (SUITE, SUBJECT, 65, BadInput, "1 to 64"),
        (SUITE, "help/answer", 4, BadInput, "kind"),
    ):
        with pytest.raises(error, match=told):
            await evaluations.start(ctx, StartEvaluation(suite=suite_text, subject=subject, concurrency=concurrency))
    assert (await evaluations.runs.page(ctx)).items == []


async def test_pages_are_newest_first_and_narrowed(evaluations: Evaluations, ctx: Context) -> None:
    """`@v1` means that version, not version ten; without it a name is the start of names."""
    await store_suite(ctx, examples(1))
    for number in range(1, 11):
        await store_subject(ctx, number)
    made = [(await start(ctx, f"{SUBJECT}@v{n}")).id for n in (1, 10, 2, 1)]
    found: list[str] = []
    cursor = None
    while True:
        page = await evaluations.runs.page(ctx, cursor=cursor, limit=3)
        found += [run.id for run in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert found == made[::-1]
    assert [r.id for r in (await evaluations.runs.page(ctx, subject=f"{SUBJECT}@v1")).items] == [made[3], made[0]]
    assert len((await evaluations.runs.page(ctx, subject="answerer:help", suite=f"{SUITE}@v1")).items) == 4
    assert (await evaluations.runs.page(ctx, subject="answerer:%")).items == []
    for forged in ("x", encode_cursor({"id": 3}), encode_cursor({})):
        with pytest.raises(BadInput, match="not made by this list"):
            await evaluations.runs.page(ctx, cursor=forged)


async def test_a_run_of_another_project_is_not_there(evaluations: Evaluations, ctx: Context) -> None:
    await store_suite(ctx, examples(1))
    run = await evaluate(ctx, await store_subject(ctx, 1))
    other = ctx.within("flights")

    with pytest.raises(NotFound):
        await evaluations.runs.get(other, run.id)
    assert await evaluations.results(other, run.id) == []
    with pytest.raises(NotFound):
        await evaluations.runs.get(ctx, new_id())


async def test_a_viewer_looks_and_a_developer_starts(
    evaluations: Evaluations, services: Services, ctx: Context
) -> None:
    await store_suite(ctx, examples(1))
    await store_subject(ctx, 1)
    run = await start(ctx)
    viewer = Context(services, Principal(kind="key", id="k", name="key", roles={"default": Role.VIEWER}), "default")

    body = StartEvaluation(suite=SUITE, subject=SUBJECT)
    with pytest.raises(Forbidden):
        await invoke(find("evaluations.start"), viewer, {"project": "default", "body": body})
    shown = await invoke(find("evaluations.show"), viewer, {"project": "default", "id": run.id})

    assert shown.id == run.id
