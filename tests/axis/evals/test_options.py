"""How a run is carried out: repeats, caps, caches, paces, time limits; and what becomes of answers that are none."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.axis.evaluating import SUBJECT, SUITE, Answers, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.engines.stats import estimates, passing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound, Unpriced

CENT = Decimal("0.01")


def says(cost: Decimal | None = None) -> TargetOutput:
    return TargetOutput(text="x", cost=cost)


async def test_repeats_are_averaged_before_examples(evaluations: Evaluations, ctx: Context, answers: Answers) -> None:
    """Twenty examples asked five times are twenty units; pass@k and pass^k are the unbiased estimates."""
    seen: dict[str, int] = {}

    async def answer(version: Version, example: Example) -> TargetOutput:
        seen[example.id] = seen.get(example.id, -1) + 1
        right = seen[example.id] < int(example.id[1:]) % 6
        return TargetOutput(text=f"word{example.id[1:]}" if right else "no idea")

    answers.answer = answer
    await store_suite(ctx, examples(20, clusters=7), repeats=5)
    run = await evaluate(ctx, await store_subject(ctx, 1), concurrency=1)

    (summary,) = run.summaries
    right = [min(i % 6, 5) for i in range(20)]
    clusters = [f"page{i % 7}" for i in range(20)]
    assert (run.total, run.done, run.repeats) == (100, 100, 5)
    assert summary.estimate == estimates.mean([c / 5 for c in right], clusters)
    assert [rate.k for rate in summary.passes] == [2, 3, 4, 5]
    assert summary.passes[1].any == estimates.mean([passing.pass_at_k(5, c, 3) for c in right], clusters)
    assert summary.passes[1].all == estimates.mean([passing.pass_hat_k(5, c, 3) for c in right], clusters)
    rows = await evaluations.results(ctx, run.id)
    assert [(r.example_id, r.repeat) for r in rows[:6]] == [("q0", n) for n in range(5)] + [("q1", 0)]


async def test_a_cap_is_held_and_what_was_done_is_kept(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """A call that could pass the cap is not made; with a higher cap the run goes on where it stood."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        await asyncio.sleep(0)
        return says(CENT)

    answers.answer = answer
    answers.foreseen = Foreseen(cost=CENT, most=CENT)
    await store_suite(ctx, examples(50))
    await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=SUBJECT, max_cost=Decimal("0.20"), concurrency=16)
    run = await evaluations.run(ctx, (await evaluations.start(ctx, body)).id)

    assert (run.status, run.done, run.cost) == ("stopped", 20, Decimal("0.2"))
    assert "The cap of $0.2" in run.error
    assert len(answers.asked) == 20
    with pytest.raises(Conflict, match="is stopped"):
        await evaluations.cancel(ctx, run.id, None)  # type: ignore[arg-type] - nothing to cancel
    await evaluations.resume(ctx, run.id, ResumeEvaluation(max_cost=Decimal(1)))
    done = await evaluations.run(ctx, run.id)
    assert (done.status, done.done, done.cost, done.error) == ("done", 50, Decimal("0.5"), "")
    assert len(answers.asked) == 50
    with pytest.raises(Conflict, match="is done"):
        await evaluations.resume(ctx, run.id, ResumeEvaluation())


async def test_dearer_answers_than_foreseen_stop_it_sooner(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """The dearest call seen is what the next one may cost."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        return says(5 * CENT)

    answers.answer = answer
    answers.foreseen = Foreseen(cost=CENT)
    await store_suite(ctx, examples(50))
    run = await evaluate(ctx, await store_subject(ctx, 1), max_cost=Decimal("0.22"), concurrency=1)

    assert (run.status, run.done, run.cost) == ("stopped", 4, Decimal("0.2"))


async def test_a_cap_over_unknown_prices_is_refused(evaluations: Evaluations, ctx: Context, answers: Answers) -> None:
    """Before the first call where that is known, after the first answer without a cost where it is not."""
    await store_suite(ctx, examples(5))
    subject = await store_subject(ctx, 1)
    answers.foreseen = Foreseen(unpriced="no price for m")
    with pytest.raises(Unpriced, match="no price for m"):
        await evaluate(ctx, subject, max_cost=Decimal(1))
    assert answers.asked == []

    answers.foreseen = Foreseen(cost=CENT)
    run = await evaluate(ctx, subject, max_cost=Decimal(1), concurrency=1)

    assert (run.status, run.done) == ("stopped", 1)
    assert "not known" in run.error


async def test_answers_of_the_same_content_are_taken_from_earlier_runs(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """Not those that failed, not another repeat's, not another identity's; they cost this run nothing."""
    fails = {"q3"}

    async def answer(version: Version, example: Example) -> TargetOutput:
        if example.id in fails:
            return TargetOutput(error="away")
        return TargetOutput(text="x", cost=CENT, trace_id=f"t-{example.id}", contexts=["c"])

    answers.answer = answer
    answers.foreseen = Foreseen(identity="a", cost=CENT, most=2 * CENT)
    await store_suite(ctx, examples(10))
    subject = await store_subject(ctx, 1)
    first = await evaluate(ctx, subject)
    plan = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=SUBJECT, repeats=2))
    fails.clear()
    second = await evaluate(ctx, subject)
    third = await evaluate(ctx, subject, repeats=2)
    fresh = await evaluate(ctx, subject, cache=False)
    answers.foreseen = Foreseen(identity="b")
    other = await evaluate(ctx, subject)

    assert (plan.cached, plan.calls, plan.cost, plan.most) == (9, 11, 11 * CENT, 22 * CENT)
    assert [r.cached for r in (first, second, third, fresh, other)] == [0, 9, 10, 0, 0]
    assert (second.cost, second.done) == (CENT, 10)
    assert third.cost == 10 * CENT
    rows = await evaluations.results(ctx, second.id)
    assert [(r.cached, r.trace_id, r.cost, r.contexts) for r in rows[2:4]] == [
        (True, "t-q2", CENT, ["c"]), (False, "t-q3", CENT, ["c"]),
    ]  # fmt: skip


async def test_calls_begin_at_the_pace_that_was_asked_for(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    at: list[float] = []

    async def answer(version: Version, example: Example) -> TargetOutput:
        at.append(asyncio.get_running_loop().time())
        return says()

    answers.answer = answer
    await store_suite(ctx, examples(6))
    await evaluate(ctx, await store_subject(ctx, 1), per_minute=1200)

    assert at[-1] - at[0] >= 0.24  # five times 50 ms


async def test_what_is_no_answer_is_told_by_kind_and_bounded(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """Refused, timed out and failed are counted apart; the mean's worst and best case say what they could change."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        if example.id == "q0":
            return TargetOutput(error="I cannot help with that.", failure="refused")
        if example.id == "q1":
            await asyncio.sleep(5)
        if example.id == "q2":
            return TargetOutput(error="500")
        return TargetOutput(text=f"word{example.id[1:]}" if example.id != "q9" else "no")

    answers.answer = answer
    await store_suite(ctx, [*examples(10), Example(id="open", input={})])
    run = await evaluate(ctx, await store_subject(ctx, 1), timeout_s=0.05)

    (summary,) = run.summaries
    assert summary.missing == {"refused": 1, "timed_out": 1, "error": 1, "no_expectation": 1}
    assert (summary.estimate.value, summary.estimate.n) == (pytest.approx(6 / 7), 7)
    assert (summary.worst, summary.best) == (pytest.approx(0.6), pytest.approx(0.9))
    rows = await evaluations.results(ctx, run.id)
    assert [r.failure for r in rows[:4]] == ["refused", "timed_out", "error", ""]
    assert rows[1].error == "No answer within 0.05 s."


async def test_what_came_too_early_is_asked_again(evaluations: Evaluations, ctx: Context, answers: Answers) -> None:
    """A few times; then it is an error."""
    asked: dict[str, int] = {}

    async def answer(version: Version, example: Example) -> TargetOutput:
        asked[example.id] = asked.get(example.id, 0) + 1
        if example.id == "q0" and asked["q0"] > 2:
            return TargetOutput(text="word0")
        return TargetOutput(error="429", retry_after_s=0.001)

    answers.answer = answer
    await store_suite(ctx, examples(2))
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert asked == {"q0": 3, "q1": 5}
    assert run.summaries[0].missing == {"error": 1}


async def test_weights_and_slices(evaluations: Evaluations, ctx: Context) -> None:
    """A heavier example counts more in the mean; each slice has a mean of its own."""
    rows = [
        Example(id=f"q{i}", input={}, expected={"answer": f"word{i}"}, weight=3.0 if i < 5 else 1.0, slice="de" if i % 2 else "en")
        for i in range(20)
    ]  # fmt: skip
    await store_suite(ctx, rows)
    run = await evaluate(ctx, await store_subject(ctx, 1, wrong=["q0", "q1"]))

    (summary,) = run.summaries
    values, weights = [float(i > 1) for i in range(20)], [3.0] * 5 + [1.0] * 15
    found = estimates.weighted_mean(values, weights, [f"q{i}" for i in range(20)])
    assert found.high is not None
    assert found.high > 1, "what is tested is that no share is more"
    assert summary.estimate == msgspec.structs.replace(found, high=1.0)
    assert summary.estimate.value == pytest.approx(24 / 30)
    assert sorted(summary.slices) == ["de", "en"]
    assert summary.slices["en"].value == pytest.approx((3 * 2 + 7) / (3 * 3 + 7))


async def test_scorers_have_parameters_and_names_of_their_own(evaluations: Evaluations, ctx: Context) -> None:
    """One scorer twice needs two names; what does not fit is refused when the suite is stored."""
    await store_suite(ctx, examples(3), [ScorerSetting(scorer="exact_match", name="strict"), "exact_match"])
    run = await evaluate(ctx, await store_subject(ctx, 1))

    assert [s.scorer for s in run.summaries] == ["strict", "exact_match"]
    with pytest.raises(BadInput, match="Two scorers are called 'exact_match'"):
        await store_suite(ctx, examples(3), ["exact_match", ScorerSetting(scorer="exact_match")])
    with pytest.raises(BadInput, match="parameters of exact_match"):
        await store_suite(ctx, examples(3), [ScorerSetting(scorer="exact_match", params={"x": 1})])
    with pytest.raises(NotFound):
        await store_suite(ctx, examples(3), ["nobody"])


async def test_the_suite_says_what_to_call_where_nobody_else_does(evaluations: Evaluations, ctx: Context) -> None:
    subject = await store_subject(ctx, 1)
    await store_suite(ctx, examples(3))
    with pytest.raises(BadInput, match="does not say what to call"):
        await evaluations.start(ctx, StartEvaluation(suite=SUITE))
    await store_suite(ctx, examples(4), task=SUBJECT)

    run = await evaluations.start(ctx, StartEvaluation(suite=SUITE))

    assert run.subject == subject.ref
    for odd in ({"concurrency": 0}, {"concurrency": 65}, {"max_cost": Decimal(-1)}):
        with pytest.raises(BadInput):
            await evaluations.start(ctx, StartEvaluation(suite=SUITE, **odd))  # type: ignore[arg-type]
