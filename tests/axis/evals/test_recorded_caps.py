"""Judging answers from outside costs what it may: it stops at the cap, keeps what it has, and goes on where it was."""

from decimal import Decimal

import pytest
from tests.axis.evals.test_recording import finished, opened, record, recorder, right
from tests.axis.evaluating import store_suite
from tests.axis.judging import CENT, SCORERS, Judges, with_goals

from gimbal.axis.evals.model import EvaluationRun, ResumeEvaluation
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.scores.asking import Priced
from gimbal.engines.compute.jobs import Jobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, Unpriced

__all__ = ["recorder"]


async def brought(ctx: Context, count: int, cap: Decimal) -> EvaluationRun:
    """Bring answers, and have them judged; each takes two calls of a judge."""
    await store_suite(ctx, with_goals(count), SCORERS)
    run = await opened(ctx, max_cost=cap)
    await record(ctx, run, [right(i, scores={"tool/score": 0.5}) for i in range(count)])
    return await finished(ctx, run)


async def test_it_stops_at_the_cap_and_goes_on_with_a_higher_one(
    evaluations: Evaluations, recorder: AnswerRecorder, ctx: Context, judges: Judges
) -> None:
    """What is judged stays, what is not keeps what others said of it, and nothing is judged twice."""
    run = await brought(ctx, 12, Decimal("0.11"))

    assert (run.status, run.done, run.judge_cost, judges.calls) == ("stopped", 12, 10 * CENT, 10)
    assert "The cap of $0.11" in run.error
    rows = await evaluations.results(ctx, run.id)
    assert sum(row.judged for row in rows) == 5
    assert all(row.scores["tool/score"] == 0.5 for row in rows)
    assert [one.missing for one in run.summaries] == [{"not_judged": 7}, {"not_judged": 7}, {}], (
        "and nothing is dropped"
    )
    with pytest.raises(Conflict, match="goes on judging"):
        await record(ctx, run, [right(0)])

    again = await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(1)), ctx.get(Jobs))
    assert (again.status, again.open) == ("running", False), "a job judges on; it takes no answers"
    done = await recorder.judge(ctx, run.id)
    assert (done.status, done.judge_cost, judges.calls) == ("done", 24 * CENT, 24)
    assert all(row.judged and row.scores["goals"] == 1 for row in await evaluations.results(ctx, run.id))


@pytest.mark.parametrize("cap", ["0", "0.01", "0.07"])
async def test_no_cap_is_passed(
    evaluations: Evaluations, recorder: AnswerRecorder, ctx: Context, judges: Judges, cap: str
) -> None:
    prices = iter([CENT, 3 * CENT, 2 * CENT] * 20)
    judges.price = lambda: next(prices)
    judges.foreseen = Priced(cost=CENT, most=3 * CENT)
    run = await brought(ctx, 10, Decimal(cap))

    assert run.status == "stopped"
    assert judges.paid <= Decimal(cap)
    assert (run.judge_cost or 0) == judges.paid
    await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(5)), ctx.get(Jobs))
    done = await recorder.judge(ctx, run.id)
    assert (done.status, done.judge_cost) == ("done", judges.paid)


async def test_a_cap_that_cannot_be_held_is_refused_before_answers_come(
    recorder: AnswerRecorder, ctx: Context, judges: Judges
) -> None:
    await store_suite(ctx, with_goals(3), SCORERS)
    for cap in (Decimal(-1), Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(BadInput, match="A cap is an amount from 0"):
            await opened(ctx, max_cost=cap)
    judges.foreseen = Priced(unpriced="it has no price")
    with pytest.raises(Unpriced, match="What judging costs is not known"):
        await opened(ctx, max_cost=Decimal(1))
    assert (await opened(ctx)).open, "without a cap nobody needs to know"
