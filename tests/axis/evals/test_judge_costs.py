"""What judges ask is counted with each answer and in all, and told before."""

from decimal import Decimal

import pytest
from tests.axis.evaluating import SUITE, Answers, evaluate, store_subject, store_suite
from tests.axis.judging import CENT, JUDGE, SCORERS, Judges, says, with_goals

from gimbal.axis.evals.model import StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import Foreseen
from gimbal.axis.scores.asking import Embed, Embedded, Priced
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import Unpriced
from gimbal.kernel.money import ZERO


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


async def test_embedders_are_counted_as_well(evaluations: Evaluations, ctx: Context, axis: Services) -> None:
    async def embedded(ctx: Context, embedder: str, texts: list[str]) -> Embedded:
        return Embedded(vectors=[[1.0, 0.0] for _ in texts], cost=CENT)

    axis.register(Embed, embedded)
    similarity = ScorerSetting(scorer="embedding_similarity", params={"embedder": "near/by"})
    await store_suite(ctx, with_goals(3), [similarity])
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert (run.judge_calls, run.judge_cost) == (3, 3 * CENT)


async def test_a_plan_says_what_they_will_cost(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    """By the price of a call and the number that can be known; once the suite has run, by what they took."""
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(5, goals=3), SCORERS)
    subject = await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=str(subject.ref), repeats=3)
    judges.foreseen = Priced(cost=2 * CENT, most=9 * CENT)

    before = await evaluations.plan(ctx, body)
    await evaluate(ctx, subject)
    after = await evaluations.plan(ctx, body)

    assert (before.judges, before.judge_calls, before.judge_cost, before.judged_before) == (
        [JUDGE],
        45,
        90 * CENT,
        False,
    )
    assert (after.judges, after.judge_calls, after.judge_cost, after.judged_before) == ([JUDGE], 45, 45 * CENT, True)
    assert before.cost == after.cost == 15 * CENT, "answers are another thing"
    assert judges.calls == 15, "a plan asks nothing"


async def test_where_claims_are_not_known_before_five_an_answer_are_assumed(
    evaluations: Evaluations, ctx: Context, judges: Judges
) -> None:
    claims = ScorerSetting(scorer="groundedness", params={"check": "model", "model": JUDGE})
    await store_suite(ctx, with_goals(4), [claims])
    subject = await store_subject(ctx, 1)
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))

    assert (plan.judge_calls, plan.judge_cost) == (20, 20 * CENT)


async def test_without_judges_nothing_is_said_of_them(evaluations: Evaluations, ctx: Context, judges: Judges) -> None:
    await store_suite(ctx, with_goals(3), ["exact_match", ScorerSetting(scorer="goals")])
    subject = await store_subject(ctx, 1)
    judges.foreseen = Priced(unpriced="nobody knows it")
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))
    run = await evaluate(ctx, subject)

    assert (plan.judges, plan.judge_calls, plan.judge_cost, plan.judge_unpriced) == ([], 0, ZERO, "")
    assert (run.judge_calls, run.judge_cost, run.judge_unpriced, judges.calls) == (0, None, 0, 0)


async def test_an_unknown_price_is_told_and_no_zero(evaluations: Evaluations, ctx: Context, judges: Judges) -> None:
    prices = iter([CENT, None] * 3)
    judges.price = lambda: next(prices)
    judges.foreseen = Priced(unpriced="judges/strict has no price")
    await store_suite(ctx, with_goals(3), SCORERS)
    subject = await store_subject(ctx, 1)
    run = await evaluate(ctx, subject, concurrency=1)

    assert (run.judge_calls, run.judge_cost, run.judge_unpriced) == (6, 3 * CENT, 3)
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))
    assert plan.judge_cost is None
    assert plan.judge_unpriced == f"{JUDGE}: judges/strict has no price"


async def test_a_cap_over_judges_without_a_price_is_refused_before_anything_is_asked(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    """Also where the price is lost between the start and the run."""
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(3), SCORERS)
    subject = await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=str(subject.ref), max_cost=Decimal(1))
    begun = await evaluations.start(ctx, body)
    judges.foreseen = Priced(unpriced="it has no price")

    for refused in (evaluations.start(ctx, body), evaluations.run(ctx, begun.id)):
        with pytest.raises(Unpriced, match="What judging costs is not known: judges/strict: it has no price"):
            await refused
    assert (answers.asked, judges.calls) == ([], 0)
    assert (await evaluations.runs.get(ctx, begun.id)).status == "failed"


async def test_a_judge_that_loses_its_price_ends_a_run_with_a_cap(
    evaluations: Evaluations, ctx: Context, answers: Answers, judges: Judges
) -> None:
    judges.price = lambda: None
    answers.answer = says
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, with_goals(10), SCORERS)
    run = await evaluate(ctx, await store_subject(ctx, 1), max_cost=Decimal(1), concurrency=1)

    assert (run.status, run.done) == ("stopped", 1)
    assert "a judge's call cost is not known" in run.error
