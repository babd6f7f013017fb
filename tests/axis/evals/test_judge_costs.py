"""What judges ask is counted with each answer, capped with the run, and known before the next one."""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evaluating import SUBJECT, SUITE, Answers, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.axis.scores.asking import Complete, Said
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.context import Context, Services
from gimbal.kernel.money import ZERO

CENT = Decimal("0.01")
JUDGE = "judges/strict"
SCORERS = [ScorerSetting(scorer="goals", params={"check": "model", "model": JUDGE}), "exact_match"]


class Judges:
    """A judge that is always content, at a price of the test's choice."""

    def __init__(self) -> None:
        self.price: Callable[[], Decimal | None] = lambda: CENT
        self.calls = 0
        self.paid = ZERO

    async def complete(self, ctx: Context, model: str, messages: Any, params: Any) -> Said:
        assert model == JUDGE
        await asyncio.sleep(0)
        self.calls += 1
        cost = self.price()
        self.paid += cost or ZERO
        return Said(text="met", cost=cost)


@pytest.fixture
def judges(axis: Services) -> Judges:
    found = Judges()
    axis.register(Complete, found.complete)  # type: ignore[type-abstract] - it is looked up by its protocol
    return found


def with_goals(count: int, goals: int = 2) -> list[Example]:
    return [
        Example(id=one.id, input=one.input, expected=one.expected | {"goals": [f"goal {n}" for n in range(goals)]})
        for one in examples(count)
    ]


async def says(version: Version, example: Example) -> TargetOutput:
    await asyncio.sleep(0)
    return TargetOutput(text=example.expected["answer"], cost=CENT)


async def test_they_are_counted_with_each_answer_and_in_all(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    answers.foreseen = Foreseen(cost=ZERO, most=ZERO)
    await store_suite(ctx, with_goals(5), SCORERS)
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert (run.judge_calls, run.judge_cost, run.judge_unpriced) == (10, 10 * CENT, 0)
    assert run.cost is None, "what the answers cost is another thing"
    rows = await evaluations.results(ctx, run.id)
    assert {(row.judge_calls, row.judge_cost, row.judge_unpriced) for row in rows} == {(2, 2 * CENT, 0)}
    assert all(row.scores == {"goals": 1.0, "exact_match": 1.0} for row in rows)


async def test_the_next_plan_says_what_they_cost(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(5), SCORERS)
    subject = await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=str(subject.ref), repeats=3)

    before = await evaluations.plan(ctx, body)
    await evaluate(ctx, subject)
    after = await evaluations.plan(ctx, body)

    assert (before.judges, before.judge_cost, before.cost) == ([JUDGE], None, 15 * CENT)
    assert (after.judges, after.judge_cost, after.cost) == ([JUDGE], 30 * CENT, 15 * CENT)
    assert judges.calls == 10, "a plan asks nothing"


async def test_without_judges_nothing_is_said_of_them(evaluations: Evaluations, ctx: Context, judges: Judges) -> None:
    await store_suite(ctx, with_goals(3), ["exact_match", ScorerSetting(scorer="goals")])
    subject = await store_subject(ctx, 1)
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))
    run = await evaluate(ctx, subject)

    assert (plan.judges, plan.judge_cost) == ([], ZERO)
    assert (run.judge_calls, run.judge_cost, run.judge_unpriced, judges.calls) == (0, None, 0, 0)


async def test_an_unknown_price_is_told_and_no_zero(evaluations: Evaluations, ctx: Context, judges: Judges) -> None:
    prices = iter([CENT, None] * 3)
    judges.price = lambda: next(prices)
    await store_suite(ctx, with_goals(3), SCORERS)
    subject = await store_subject(ctx, 1)
    run = await evaluate(ctx, subject, concurrency=1)

    assert (run.judge_calls, run.judge_cost, run.judge_unpriced) == (6, 3 * CENT, 3)
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))
    assert plan.judge_cost is None


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_a_cap_is_of_answers_and_judges_together(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, concurrency: int
) -> None:
    """It stops before an answer that it could not judge; with a higher cap it goes on without paying for anything twice."""
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(30), SCORERS)
    await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=SUBJECT, max_cost=Decimal("0.20"), concurrency=concurrency)
    run = await evaluations.run(ctx, (await evaluations.start(ctx, body)).id)

    assert (run.status, run.done, run.cost, run.judge_cost) == ("stopped", 6, 6 * CENT, 12 * CENT)
    assert "judging its answer $0.02" in run.error
    await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(1)))
    done = await evaluations.run(ctx, run.id)
    assert (done.status, done.done, done.cost, done.judge_cost) == ("done", 30, 30 * CENT, 60 * CENT)
    assert (len(answers.asked), judges.calls) == (30, 60)


@pytest.mark.parametrize("seed", range(12))
async def test_judges_of_any_price_pass_a_cap_by_no_more_than_is_under_way(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges, seed: int
) -> None:
    """And what the cap left without a judgement is judged when the run goes on: the answer is not asked for again."""
    draw = random.Random(seed)
    judges.price = lambda: Decimal(draw.randint(0, 9)) / 100
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    answers.answer = says
    await store_suite(ctx, with_goals(20, goals=draw.randint(1, 3)), SCORERS)
    await store_subject(ctx, 1)
    concurrency, cap = draw.choice([1, 2, 8]), Decimal(draw.randint(5, 80)) / 100
    body = StartEvaluation(suite=SUITE, subject=SUBJECT, max_cost=cap, concurrency=concurrency)
    run = await evaluations.run(ctx, (await evaluations.start(ctx, body)).id)

    spent = CENT * len(answers.asked) + judges.paid
    assert (run.cost or ZERO) + (run.judge_cost or ZERO) == spent, "all that was spent is told"
    assert spent <= cap + concurrency * 3 * 9 * CENT
    waiting = [row for row in await evaluations.results(ctx, run.id) if not row.judged]
    assert all(not row.scores and not row.missing and row.text for row in waiting)
    if run.status == "stopped":
        await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(100)))
        run = await evaluations.run(ctx, run.id)
    assert (run.status, run.done, len(answers.asked)) == ("done", 20, 20)
    assert run.judge_cost == judges.paid
    assert all(row.judged and "goals" in row.scores for row in await evaluations.results(ctx, run.id))


async def test_a_judge_without_a_price_ends_a_run_with_a_cap(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    judges.price = lambda: None
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(10), SCORERS)
    run = await evaluate(ctx, await store_subject(ctx, 1), max_cost=Decimal(1))

    assert (run.status, run.done) == ("stopped", 1)
    assert "a judge's call cost is not known" in run.error


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
