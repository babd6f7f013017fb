"""Records of two evaluation runs on the same suite, side by side, and what they say together."""

from collections.abc import Sequence

import msgspec

from gimbal.axis.evals.model import EvaluationRun
from gimbal.engines.stats.model import Estimate


class ScorerComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer, two subjects, the same examples."""

    scorer: str
    before: Estimate
    after: Estimate
    difference: Estimate
    """After minus before, paired by example."""
    verdict: str
    """`better`, `worse`, `equivalent` or `underpowered`; `neither` of a scorer whose values are neither good nor bad."""
    p_value: float | None
    detectable: float | None
    """Smallest difference that this many examples would find with 80 % power."""
    unit: str = ""
    """Of the value: `ms`, `USD`; empty for a share or a mark."""
    paired: int
    unpaired: int
    """Examples that only one side has a value for."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two evaluation runs on the same suite."""

    before: EvaluationRun
    after: EvaluationRun
    margin: float
    """Differences within ± this count as equivalent."""
    verdict: str
    """Of all scorers of marks together, see `verdict_of`: what is counted in `ms` or `USD` is shown, and decides nothing."""
    scorers: list[ScorerComparison]


_VERDICTS = ("worse", "underpowered", "better")
"""The first of these that a scorer says is the verdict of all."""


def verdict_of(rows: Sequence[ScorerComparison], scorers: Sequence[str] = ()) -> str:
    """Return what scorers say together: `worse` where one does, else `underpowered`, else `better`, else `equivalent`.

    Of those that are named; without names of all that give marks (a margin is one of marks, not of milliseconds) and had
    something to judge. Where none is left nothing was shown: `underpowered`.
    """
    chosen = [row for row in rows if row.scorer in scorers]
    if not scorers:
        chosen = [row for row in rows if not row.unit and row.verdict != "neither" and (row.paired or row.unpaired)]
    said = {row.verdict for row in chosen}
    return next((verdict for verdict in _VERDICTS if verdict in said), "equivalent" if said else "underpowered")
