"""Two versions on the same units: the difference, its uncertainty, and one of four verdicts.

Sources: Miller, arXiv 2411.00640 (paired differences, clusters, power); McNemar 1947 (exact form); Phipson and Smyth
2010 (a permutation p-value is never 0).
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gimbal.engines.stats.estimates import codes, floats, mean
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

Verdict = Literal["better", "worse", "equivalent", "underpowered"]
_POWER = 0.8
_PERMUTATIONS = 9_999


class PairedOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a paired comparison found."""

    difference: Estimate
    """After minus before, in units of the score."""
    verdict: Verdict
    p_value: float | None
    """Two-sided, of no difference."""
    detectable: float | None
    """Smallest difference that this many units would find with 80 % power at this level."""


def compare(
    before: ArrayLike,
    after: ArrayLike,
    clusters: Sequence[str] | None = None,
    *,
    margin: float = 0.0,
    level: float = 0.95,
    higher_is_better: bool = True,
    seed: int = 0,
) -> PairedOutcome:
    """Compare paired scores, shape (n,) each.

    Better or worse: the interval of the difference excludes 0. Equivalent: it lies within ± margin (both one-sided
    tests reject at (1 − level) / 2). Otherwise underpowered: this evidence cannot tell.
    """
    a, b = floats(before, "before"), floats(after, "after")
    if a.size != b.size:
        raise BadInput(f"{a.size} scores before and {b.size} after.", where="after", todo="Pair them by unit.")
    d = b - a
    difference = mean(d, clusters, level=level)
    if difference.low is None or difference.high is None or difference.se is None:
        return PairedOutcome(difference=difference, verdict="underpowered", p_value=None, detectable=None)
    if difference.se == 0 and not d.any():
        difference = _all_equal(difference)
    p_value = _p_value(d, codes(clusters, d.size), seed)
    return from_difference(difference, p_value, margin=margin, higher_is_better=higher_is_better)


def _all_equal(difference: Estimate) -> Estimate:
    """Return the interval when no unit differs.

    Of C clusters none does, so the share that would is at most 1 − ((1 − level)/2)^(1/C) (Clopper–Pearson), and a score
    moves by at most 1.
    """
    half = 1 - ((1 - difference.level) / 2) ** (1 / (difference.clusters or 1))
    return msgspec.structs.replace(difference, low=-half, high=half, se=half / 2, method="no unit differs, exact")


def from_difference(
    difference: Estimate, p_value: float | None, *, margin: float = 0.0, higher_is_better: bool = True
) -> PairedOutcome:
    """Return the outcome of a difference that was estimated elsewhere (AUC by DeLong), by the same rules."""
    if difference.low is None or difference.high is None or difference.se is None or p_value is None:
        return PairedOutcome(difference=difference, verdict="underpowered", p_value=p_value, detectable=None)
    return PairedOutcome(
        difference=difference,
        verdict=_verdict(
            difference.low,
            difference.high,
            margin,
            higher_is_better=higher_is_better,
            p_value=p_value,
            level=difference.level,
        ),
        p_value=p_value,
        detectable=detectable(difference.se, level=difference.level),
    )


def _verdict(
    low: float, high: float, margin: float, *, higher_is_better: bool, p_value: float, level: float
) -> Verdict:
    if not higher_is_better:
        low, high = -high, -low
    # With few units the t interval is too short for bounded scores; the exact test has to agree.
    shown = p_value <= 1 - level
    if low > 0 and shown:
        return "better"
    if high < 0 and shown:
        return "worse"
    if margin > 0 and low > -margin and high < margin:
        return "equivalent"
    return "underpowered"


def _p_value(d: np.ndarray, group: np.ndarray, seed: int) -> float:
    """Return the two-sided p-value: exact McNemar for single binary units, sign flips of clusters otherwise."""
    sums = np.bincount(group, weights=d)
    wins, losses = int((sums > 0).sum()), int((sums < 0).sum())
    if not wins + losses:
        return 1.0
    if sums.size == d.size and bool(np.isin(d, (-1.0, 0.0, 1.0)).all()):
        return float(stats.binomtest(wins, wins + losses).pvalue)
    observed = abs(sums.sum())
    sums = sums[sums != 0]
    rng = np.random.default_rng(seed)
    reached = 0
    left = _PERMUTATIONS
    while left:
        # In blocks, so that memory stays bounded whatever the number of clusters.
        block = min(left, max(1, 4_000_000 // sums.size))
        signs = rng.integers(0, 2, size=(block, sums.size), dtype=np.int8) * 2 - 1
        reached += int((np.abs(signs @ sums) >= observed - 1e-12).sum())
        left -= block
    return (reached + 1) / (_PERMUTATIONS + 1)


def detectable(se: float, *, level: float = 0.95, power: float = _POWER) -> float:
    """Return the smallest true difference that is found with `power` at this standard error."""
    return float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power)) * se


def units_needed(difference: float, sd: float, *, level: float = 0.95, power: float = _POWER) -> int:
    """Return how many paired units find `difference` when single differences have the standard deviation `sd`."""
    z = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    return math.ceil((z * sd / difference) ** 2)


def against(
    estimate: Estimate, threshold: float, *, higher_is_better: bool = True
) -> Literal["meets", "misses", "undecided"]:
    """Tell whether a whole interval lies on the good side of a threshold, on the bad one, or across it."""
    if estimate.low is None or estimate.high is None:
        return "undecided"
    low, high = estimate.low, estimate.high
    if higher_is_better:
        return "meets" if low >= threshold else "misses" if high < threshold else "undecided"
    return "meets" if high <= threshold else "misses" if low > threshold else "undecided"
