"""Two evaluation runs side by side: paired by example, clustered by source, ending in a verdict."""

import asyncio
import math
from collections.abc import Sequence

from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.samples import Samples
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.summing import by_example
from gimbal.axis.evals.verdicts import Comparison, ScorerComparison, verdict_of
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.stats import estimates, paired, resampled
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict


async def compare_runs(
    ctx: Context, evaluations: Evaluations, before_id: str, after_id: str, margin: float
) -> Comparison:
    """Compare two finished runs on the same suite version; raise Conflict when they cannot be paired, BadInput for a margin."""
    if not 0 <= margin < math.inf:
        raise BadInput("A margin is a number from 0.", where="margin", todo="Use 0.02, or 0 for none.")
    before, after = await evaluations.runs.get(ctx, before_id), await evaluations.runs.get(ctx, after_id)
    for run in (before, after):
        if run.status != "done":
            raise Conflict(f"The evaluation {run.id} is {run.status}.", where="id", todo="Wait until it is done.")
    if before.suite != after.suite:
        raise Conflict(
            f"One ran on {before.suite}, the other on {after.suite}.", where="to", todo="Run both on one version."
        )
    left, right = await evaluations.results(ctx, before_id), await evaluations.results(ctx, after_id)
    scorers = await evaluations.scorers(ctx, before)
    # In a thread: with many examples this takes a second or more.
    rows = await asyncio.to_thread(lambda: [compare_scorer(one, left, right, margin) for one in scorers])
    return Comparison(before=before, after=after, margin=margin, verdict=verdict_of(rows), scorers=rows)


def compare_scorer(
    applied: Applied, before: Sequence[EvaluationResult], after: Sequence[EvaluationResult], margin: float
) -> ScorerComparison:
    """Compare one scorer over the examples that both runs have a value for; repeats are averaged first."""
    if applied.metric is not None:
        return _compare_metric(applied, before, after, margin)
    left = {row.id: row for row in by_example(applied.name, before)}
    right = {row.id: row for row in by_example(applied.name, after)}
    shared = [id_ for id_ in left if id_ in right]
    a, b = [left[id_].mean for id_ in shared], [right[id_].mean for id_ in shared]
    clusters = [left[id_].cluster for id_ in shared]
    weights = [left[id_].weight for id_ in shared]
    better = applied.card.better
    # Milliseconds and dollars within 0 and 1 are so by chance.
    bounded = not applied.card.unit
    outcome = paired.compare(
        a, b, clusters, weights=weights, margin=margin, higher_is_better=better != "lower", bounded=bounded
    )
    return ScorerComparison(
        scorer=applied.name,
        before=estimates.weighted_mean(a, weights, clusters, bounded=bounded),
        after=estimates.weighted_mean(b, weights, clusters, bounded=bounded),
        difference=outcome.difference,
        verdict="neither" if better == "neither" else outcome.verdict,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        unit=applied.card.unit,
        paired=len(shared),
        unpaired=len(left.keys() ^ right.keys()),
    )


def _compare_metric(
    applied: Applied, before: Sequence[EvaluationResult], after: Sequence[EvaluationResult], margin: float
) -> ScorerComparison:
    """Compare a metric over the answers that both runs have."""
    (of_left, left), (of_right, right) = Samples.of(applied, before), Samples.of(applied, after)
    places = {id_: place for place, id_ in enumerate(of_right.ids)}
    pairs = [(place, places[id_]) for place, id_ in enumerate(of_left.ids) if id_ in places]
    both = of_left.part([place for place, _ in pairs])
    clusters = both.clusters
    first = both.statistic(applied, [left[place] for place, _ in pairs])
    second = both.statistic(applied, [right[place] for _, place in pairs])
    better, n = applied.card.better, len(pairs)
    outcome = resampled.compare(
        first, second, n, clusters, margin=margin, higher_is_better=better != "lower", draws=resampled.draws_for(n)
    )
    return ScorerComparison(
        scorer=applied.name,
        before=resampled.estimate(first, n, clusters, draws=resampled.draws_for(n)),
        after=resampled.estimate(second, n, clusters, draws=resampled.draws_for(n)),
        difference=outcome.difference,
        verdict="neither" if better == "neither" else outcome.verdict,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        unit=applied.card.unit,
        paired=n,
        unpaired=len(set(of_left.ids) ^ set(of_right.ids)),
    )
