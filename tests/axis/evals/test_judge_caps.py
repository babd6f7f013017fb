"""A cap is of answers and judges together: no price, no order and no number at once makes a run pass it."""

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evaluating import SUBJECT, SUITE, Answers, evaluate, store_subject, store_suite
from tests.axis.judging import CENT, SCORERS, Judges, says, with_goals

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import EvaluationRun, Example, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.axis.scores.asking import Priced
from gimbal.kernel.context import Context
from gimbal.kernel.money import ZERO


async def capped(ctx: Context, evaluations: Evaluations, cap: Decimal, concurrency: int) -> EvaluationRun:
    body = StartEvaluation(suite=SUITE, subject=SUBJECT, max_cost=cap, concurrency=concurrency)
    return await evaluations.run(ctx, (await evaluations.start(ctx, body)).id)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_it_stops_before_an_answer_that_it_could_not_judge(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, concurrency: int
) -> None:
    """With a higher cap it goes on without paying for anything twice."""
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(30), SCORERS)
    await store_subject(ctx, 1)
    run = await capped(ctx, evaluations, Decimal("0.20"), concurrency)

    assert (run.status, run.done, run.cost, run.judge_cost) == ("stopped", 6, 6 * CENT, 12 * CENT)
    assert "judging its answer $0.03" in run.error, "two calls, and what the last may cost beyond the first"
    await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(1)))
    done = await evaluations.run(ctx, run.id)
    assert (done.status, done.done, done.cost, done.judge_cost) == ("done", 30, 30 * CENT, 60 * CENT)
    assert (len(answers.asked), judges.calls) == (30, 60)


@pytest.mark.parametrize("seed", range(24))
async def test_judges_of_any_price_never_pass_it(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, seed: int
) -> None:
    """What the cap left without a judgement is judged when the run goes on: the answer is not asked for again."""
    draw = random.Random(seed)
    said: list[Decimal] = []

    async def answer(version: Version, example: Example) -> TargetOutput:
        for _ in range(draw.randint(0, 5)):
            await asyncio.sleep(0)
        said.append(Decimal(draw.randint(0, 3)) / 100)
        return TargetOutput(text=example.expected["answer"], cost=said[-1])

    judges.price = lambda: Decimal(draw.randint(0, 9)) / 100
    judges.pauses = lambda: draw.randint(0, 5)
    # What is told before is the most there can be, and about anything.
    judges.foreseen = Priced(cost=Decimal(draw.randint(0, 9)) / 100, most=9 * CENT)
    answers.foreseen, answers.answer = Foreseen(cost=CENT, most=3 * CENT), answer
    await store_suite(ctx, with_goals(20, goals=draw.randint(1, 7)), SCORERS)
    await store_subject(ctx, 1)
    cap = Decimal(draw.randint(1, 250)) / 100
    async with asyncio.timeout(30):
        run = await capped(ctx, evaluations, cap, draw.choice([1, 2, 4, 8, 16]))

    spent = sum(said, ZERO) + judges.paid
    assert (run.cost or ZERO) + (run.judge_cost or ZERO) == spent <= cap, (
        "all that was spent is told, and under the cap"
    )
    assert run.status == ("done" if run.done == 20 else "stopped") or "while an answer was judged" in run.error
    waiting = [row for row in await evaluations.results(ctx, run.id) if not row.judged]
    assert all(not row.scores and not row.missing and row.text for row in waiting)
    if run.status == "stopped":
        await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(100)))
        run = await evaluations.run(ctx, run.id)
    assert (run.status, run.done, len(answers.asked)) == ("done", 20, 20)
    assert run.judge_cost == judges.paid
    assert all(row.judged and "goals" in row.scores for row in await evaluations.results(ctx, run.id))


async def test_calls_that_wait_for_money_go_on_when_others_cost_less(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    """At most two calls fit at once, and in the end all of them are made."""
    judges.price = lambda: CENT / 10
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(8, goals=6), SCORERS)
    await store_subject(ctx, 1)
    run = await capped(ctx, evaluations, Decimal("0.23"), 8)

    assert (run.status, run.done, judges.calls) == ("done", 8, 48)
    assert (run.cost, run.judge_cost) == (8 * CENT, Decimal("0.048"))


async def test_judges_that_fail_leave_their_money_to_others(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    judges.fails = lambda: True
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(10), SCORERS)
    await store_subject(ctx, 1)
    run = await capped(ctx, evaluations, Decimal("0.13"), 4)

    assert (run.status, run.done, run.judge_calls, run.judge_cost) == ("done", 10, 0, None)
    (goals, _) = run.summaries
    assert goals.missing == {"judge_failed": 10}


@pytest.mark.parametrize("moment", [3, 10, 25])
async def test_one_that_was_cut_off_goes_on_within_its_cap(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, moment: int
) -> None:
    """Only what was under way at that moment is asked and judged again, and what was stored counts."""
    reached = asyncio.Event()

    def price() -> Decimal:
        if judges.calls >= moment:
            reached.set()
        return CENT

    judges.price = price
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(20), SCORERS)
    await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=SUBJECT, max_cost=Decimal("0.70"), concurrency=4)
    begun = await evaluations.start(ctx, body)
    running = asyncio.create_task(evaluations.run(ctx, begun.id))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stored = await evaluations.results(ctx, begun.id)
    before = (len(answers.asked), judges.calls)
    await evaluations.resume(ctx, begun.id, ResumeEvaluation())
    run = await evaluations.run(ctx, begun.id)

    assert (run.status, run.done, run.cost, run.judge_cost) == ("done", 20, 20 * CENT, 40 * CENT)
    assert (len(answers.asked) - before[0], judges.calls - before[1]) == (20 - len(stored), 2 * (20 - len(stored)))
    assert before[0] <= len(stored) + 4


async def test_answers_of_earlier_runs_are_judged_at_a_price(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    answers.foreseen = Foreseen(identity="same", cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(10), SCORERS)
    subject = await store_subject(ctx, 1)
    await evaluate(ctx, subject)
    run = await evaluate(ctx, subject, max_cost=Decimal("0.09"), concurrency=4)

    assert (run.status, run.done, run.cached, run.judge_cost) == ("stopped", 4, 4, 8 * CENT)
    assert len(answers.asked) == 10


async def test_a_run_tells_what_it_spent_while_it_goes(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimbal.axis.evals.running._TELL_S", 0.0)

    async def slowly(version: Version, example: Example) -> TargetOutput:
        await asyncio.sleep(0.05)  # longer than an answer takes to be stored
        return await says(version, example)

    answers.answer = slowly
    await store_suite(ctx, with_goals(6), SCORERS)
    await store_subject(ctx, 1)
    begun = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=SUBJECT, concurrency=1))
    seen: list[Any] = []

    async def look(_: Any) -> None:
        run = await evaluations.runs.get(ctx, begun.id)
        seen.append((run.cost, run.judge_cost))

    await evaluations.run(ctx, begun.id, progress=look)
    costs, judging = zip(*seen, strict=True)
    assert list(costs) == sorted(costs)
    assert list(judging) == sorted(judging)
    assert seen[-1] == (6 * CENT, 12 * CENT)
    assert seen[0][0] < 6 * CENT
