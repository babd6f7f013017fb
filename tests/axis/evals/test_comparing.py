"""Two runs side by side: paired by example, clustered, and honest about what few or flickering examples can tell."""

import numpy as np
import pytest
from tests.axis.evaluating import SUITE, Answers, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.model import EvaluationRun, Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.evals.verdicts import ScorerComparison
from gimbal.engines.stats import estimates, paired
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import find, invoke


async def compared(
    ctx: Context, before: EvaluationRun, after: EvaluationRun, margin: float = 0.02
) -> list[ScorerComparison]:
    return (await compare_runs(ctx, ctx.get(Evaluations), before.id, after.id, margin)).scorers


async def test_the_numbers_are_those_of_the_paired_rows(evaluations: Evaluations, ctx: Context) -> None:
    """Difference, interval, p-value and verdict are what engines/stats says of the same rows and clusters."""
    await store_suite(ctx, examples(40, clusters=10))
    before = await evaluate(ctx, await store_subject(ctx, 1, wrong=[f"q{i}" for i in range(20)]))
    after = await evaluate(ctx, await store_subject(ctx, 2, wrong=["q0", "q39"]))

    row = (await compared(ctx, before, after))[0]

    a = [0.0] * 20 + [1.0] * 20
    b = [0.0] + [1.0] * 38 + [0.0]
    clusters = [f"page{i % 10}" for i in range(40)]
    truth = paired.compare(a, b, clusters, margin=0.02)
    assert (row.difference, row.p_value, row.detectable) == (truth.difference, truth.p_value, truth.detectable)
    assert (row.verdict, row.paired, row.unpaired) == ("better", 40, 0)
    assert (row.before, row.after) == (estimates.mean(a, clusters), estimates.mean(b, clusters))
    assert row.difference.value == pytest.approx(18 / 40)
    assert (await compared(ctx, after, before))[0].verdict == "worse"


async def test_only_what_both_answered_is_compared_and_the_rest_is_counted(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """A version that fails on the hard examples is not the better one for that."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        place = int(example.id[1:])
        if (version.number == 2 and place < 6) or (version.number == 1 and place == 29):
            return TargetOutput(error="timeout")
        return TargetOutput(text="wrong" if place < 10 else f"word{place}")

    answers.answer = answer
    await store_suite(ctx, examples(30))
    before = await evaluate(ctx, await store_subject(ctx, 1))
    after = await evaluate(ctx, await store_subject(ctx, 2))

    row = (await compared(ctx, before, after))[0]

    assert (row.paired, row.unpaired) == (23, 7)
    assert (row.before.n, row.after.n, row.difference.n) == (23, 23, 23)
    assert row.before == row.after
    assert row.difference.value == 0.0
    assert after.summaries[0].missing == {"error": 6}


async def test_few_examples_are_underpowered_not_the_same(evaluations: Evaluations, ctx: Context) -> None:
    """Three of three better says nothing yet; the comparison tells what it could have found."""
    await store_suite(ctx, examples(3))
    before = await evaluate(ctx, await store_subject(ctx, 1, wrong=["q0", "q1", "q2"]))
    after = await evaluate(ctx, await store_subject(ctx, 2))

    row = (await compared(ctx, before, after))[0]

    assert (row.verdict, row.difference.value) == ("underpowered", 1.0)
    assert row.detectable is not None
    assert row.detectable > 0.5


async def test_one_example_has_no_interval(evaluations: Evaluations, ctx: Context) -> None:
    """Undefined, and never an interval of no width."""
    await store_suite(ctx, examples(1))
    before = await evaluate(ctx, await store_subject(ctx, 1, wrong=["q0"]))
    after = await evaluate(ctx, await store_subject(ctx, 2))

    row = (await compared(ctx, before, after))[0]

    assert (row.verdict, row.p_value, row.difference.low) == ("underpowered", None, None)
    assert "one cluster" in row.difference.undefined
    assert before.summaries[0].estimate.low is None


async def test_a_flickering_version_is_not_better_than_itself(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """Six runs of one version whose cases flip by chance: no pair of them is called different but by rare chance."""
    rng = np.random.default_rng(7)

    async def answer(version: Version, example: Example) -> TargetOutput:
        return TargetOutput(text=example.expected["answer"] if rng.random() < 0.6 else "no idea")

    answers.answer = answer
    await store_suite(ctx, examples(40))
    subject = await store_subject(ctx, 1)
    runs = [await evaluate(ctx, subject) for _ in range(6)]

    rows = [(await compared(ctx, a, b))[0] for a, b in zip(runs[::2], runs[1::2], strict=True)]

    assert [row.verdict for row in rows] == ["underpowered"] * 3
    assert any(row.difference.value for row in rows)
    assert (await evaluations.runs.latest(ctx, runs[0].suite, subject.ref)) == (runs[-1], 6)


async def test_a_run_compared_with_itself_is_equivalent(evaluations: Evaluations, ctx: Context) -> None:
    """Within a margin; without one nothing can be equivalent."""
    await store_suite(ctx, examples(150))
    run = await evaluate(ctx, await store_subject(ctx, 1, wrong=["q1"]))

    assert (await compared(ctx, run, run, 0.05))[0].verdict == "equivalent"
    assert (await compared(ctx, run, run, 0.0))[0].verdict == "underpowered"


async def test_what_cannot_be_paired_is_a_conflict(evaluations: Evaluations, ctx: Context) -> None:
    """Another suite version, a run that is not done, a margin that is none."""
    await store_suite(ctx, examples(3))
    subject = await store_subject(ctx, 1)
    run = await evaluate(ctx, subject)
    await store_suite(ctx, examples(4))
    other = await evaluate(ctx, subject)
    begun = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)))

    with pytest.raises(Conflict, match=f"{SUITE}@v1, the other on {SUITE}@v2"):
        await compared(ctx, run, other)
    with pytest.raises(Conflict, match="is running"):
        await compared(ctx, run, begun)
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="margin"):
            await compared(ctx, run, run, margin)
    with pytest.raises(NotFound):
        await invoke(find("evaluations.compare"), ctx, {"project": "default", "id": run.id, "to": new_id()})
