"""Two evaluation runs side by side: paired by example, clustered by source, ending in a verdict."""

import math

from gimbal.axis.evals.model import Comparison, EvaluationResult, ScorerComparison
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.stats import estimates, paired
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict


async def compare_runs(
    ctx: Context, evaluations: Evaluations, before_id: str, after_id: str, margin: float
) -> Comparison:
    """Compare two finished runs on the same suite version; raise Conflict when they cannot be paired, BadInput for a margin."""
    if not 0 <= margin < math.inf:
        raise BadInput("A margin is a number from 0.", where="margin", todo="Use 0.02, or 0 for none.")
    before, after = await evaluations.get(ctx, before_id), await evaluations.get(ctx, after_id)
    for run in (before, after):
        if run.status != "done":
            raise Conflict(f"The evaluation {run.id} is {run.status}.", where="id", todo="Wait until it is done.")
    if before.suite != after.suite:
        raise Conflict(
            f"One ran on {before.suite}, the other on {after.suite}.", where="to", todo="Run both on one version."
        )
    left, right = await evaluations.results(ctx, before_id), await evaluations.results(ctx, after_id)
    names = sorted({name for r in (*left, *right) for name in (*r.scores, *r.missing)})
    rows = [compare_scorer(name, left, right, margin) for name in names]
    return Comparison(before=before, after=after, margin=margin, scorers=rows)


def compare_scorer(
    scorer: str, before: list[EvaluationResult], after: list[EvaluationResult], margin: float
) -> ScorerComparison:
    """Compare one scorer over the examples that both runs have a value for."""
    left = {r.example_id: r for r in before if scorer in r.scores}
    right = {r.example_id: r for r in after if scorer in r.scores}
    shared = [id_ for id_ in left if id_ in right]
    a = [left[id_].scores[scorer] for id_ in shared]
    b = [right[id_].scores[scorer] for id_ in shared]
    clusters = [left[id_].cluster for id_ in shared]
    outcome = paired.compare(a, b, clusters, margin=margin)
    return ScorerComparison(
        scorer=scorer,
        before=estimates.mean(a, clusters),
        after=estimates.mean(b, clusters),
        difference=outcome.difference,
        verdict=outcome.verdict,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        paired=len(shared),
        unpaired=len(left.keys() ^ right.keys()),
    )
