"""Two versions on the same units: the difference, its uncertainty, and one of four verdicts.

Sources: Miller, arXiv 2411.00640 (paired differences, clusters, power); McNemar 1947 (exact form); Tango 1998 (score
interval of a paired difference of shares); Phipson and Smyth 2010 (a sampled permutation p-value is never 0).
"""

import math
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gimbal.engines.stats.distributions import Floats, normal_quantile, sign_test
from gimbal.engines.stats.estimates import (
    Clusters,
    codes,
    effective,
    floats,
    quantile,
    robust_mean,
    spread,
    weighted_mean,
)
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

Verdict = Literal["better", "worse", "equivalent", "underpowered"]
_POWER = 0.8
_SHARE_VARIANCE = 0.25
_PERMUTATIONS = 9_999
_ENUMERATED = 13
_FLIPPED = 400


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
    clusters: Clusters | None = None,
    *,
    weights: ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    higher_is_better: bool = True,
    bounded: bool = True,
    seed: int = 0,
) -> PairedOutcome:
    """Compare paired scores, shape (n,) each; with `weights` the difference is the weighted mean's.

    Better or worse: the interval of the difference excludes 0, and so does the test. Equivalent: it lies within ± margin
    (both one-sided tests reject at (1 − level) / 2). Otherwise underpowered: this evidence cannot tell. Scores that all
    lie within 0 and 1 are taken to be so bounded unless `bounded` says that they are amounts, which only happen to; of
    amounts that are all the same nothing is known of how far they could differ.
    """
    a, b = floats(before, "before"), floats(after, "after")
    if a.size != b.size:
        raise BadInput(f"{a.size} scores before and {b.size} after.", where="after", todo="Pair them by unit.")
    d = b - a
    group = codes(clusters, d.size)
    if weights is not None and d.size and np.ptp(w := floats(weights, "weights")) > 0:
        difference = weighted_mean(d, w, clusters, level=level)
        p_value = None if difference.low is None else _p_value(d * w, group, seed)
        return from_difference(difference, p_value, margin=margin, higher_is_better=higher_is_better)
    if bounded:
        difference = _difference(d, group, bounded=_within_unit(a) and _within_unit(b), level=level)
    else:
        difference = robust_mean(d, group, level=level)
    if difference.low is None or difference.high is None or difference.se is None:
        return PairedOutcome(difference=difference, verdict="underpowered", p_value=None, detectable=None)
    return from_difference(difference, _p_value(d, group, seed), margin=margin, higher_is_better=higher_is_better)


def _within_unit(x: Floats) -> bool:
    return bool(((x >= 0) & (x <= 1)).all())


def _difference(d: Floats, group: NDArray[np.int64], *, bounded: bool, level: float) -> Estimate:
    """Return the mean difference with the interval that its kind of score allows."""
    if d.size and group.max() >= 1 and not d.any():
        # Of C clusters none differs; of unbounded scores too a unit is taken to move by at most 1.
        same = robust_mean(d, group, level=level, bounds=(-1.0, 1.0))
        return msgspec.structs.replace(same, method="no unit differs, exact")
    if bounded and d.size and group.max() >= 1 and bool(np.isin(d, (-1.0, 0.0, 1.0)).all()):
        return _binary_difference(d, group, level)
    return robust_mean(d, group, level=level, bounds=(-1.0, 1.0) if bounded else None)


def _binary_difference(d: Floats, group: NDArray[np.int64], level: float) -> Estimate:
    """Return the difference of two shares of the same units, with Tango's interval at their effective number."""
    found = spread(d, group)
    value = float(d.mean())
    units = effective(found, d.size, math.sqrt(float(d.var()) / d.size), level)
    wins, losses = float((d > 0).mean()) * units, float((d < 0).mean()) * units
    low, high = tango(wins, losses, units, level=level)
    return Estimate(
        value=value,
        low=low,
        high=high,
        level=level,
        n=d.size,
        clusters=found.clusters,
        se=found.se or (high - low) / 4,
        method="Tango, effective units",
    )


def tango(wins: float, losses: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of (wins − losses) / n, where n pairs of binary scores need not be whole numbers."""
    z = quantile(level)

    def score(difference: float) -> float:
        b = (2 * n - wins + losses) * difference - wins - losses
        c = -losses * difference * (1 - difference)
        # The most likely share of losses if the true difference were this one.
        lost = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * lost + difference * (1 - difference))
        return (wins - losses - n * difference) / math.sqrt(max(variance, 1e-300))

    value = (wins - losses) / n
    return _falls_to(score, z, -1.0, value), _falls_to(score, -z, value, 1.0)


def _falls_to(score: Callable[[float], float], z: float, low: float, high: float) -> float:
    """Return where a falling function crosses z, by halving; the end at which it would, if it does not."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > z else (low, middle)
    return (low + high) / 2


def from_difference(
    difference: Estimate, p_value: float | None, *, margin: float = 0.0, higher_is_better: bool = True
) -> PairedOutcome:
    """Return the outcome of a difference that was estimated elsewhere (AUC by DeLong), by the same rules."""
    if difference.low is None or difference.high is None or difference.se is None or p_value is None:
        return PairedOutcome(difference=difference, verdict="underpowered", p_value=p_value, detectable=None)
    low, high = difference.low, difference.high
    if not higher_is_better:
        low, high = -high, -low
    return PairedOutcome(
        difference=difference,
        verdict=_verdict(low, high, margin, shown=p_value <= 1 - difference.level),
        p_value=p_value,
        detectable=detectable(difference.se, level=difference.level),
    )


def _verdict(low: float, high: float, margin: float, *, shown: bool) -> Verdict:
    # With few units the t interval is too short for bounded scores; the exact test has to agree (`shown`).
    if low > 0 and shown:
        return "better"
    if high < 0 and shown:
        return "worse"
    if margin > 0 and low > -margin and high < margin:
        return "equivalent"
    return "underpowered"


def _p_value(d: Floats, group: NDArray[np.int64], seed: int) -> float:
    """Return the two-sided p-value: exact McNemar for single binary units, sign flips of clusters otherwise.

    Up to 13 clusters all flips are counted. Of more than 400 the smaller sums are flipped together: their signed sum is
    normal to any accuracy that 9,999 permutations could show, whereas the 400 largest may not be.
    """
    sums = np.bincount(group, weights=d)
    sums = sums[np.abs(sums) > 1e-12 * float(np.abs(d).max(initial=0.0))]
    if not sums.size:
        return 1.0
    if group.max() + 1 == d.size and bool((np.abs(sums) == 1).all()):
        return sign_test(int((sums > 0).sum()), sums.size)
    # A flip that reaches the observed sum but for rounding has reached it.
    observed = abs(float(sums.sum())) * (1 - 1e-9)
    if sums.size <= _ENUMERATED:
        signs = 1 - 2 * ((np.arange(2**sums.size)[:, None] >> np.arange(sums.size)) & 1)
        return float((np.abs(signs @ sums) >= observed).mean())
    sums = sums[np.argsort(-np.abs(sums))]
    large, small = sums[:_FLIPPED], sums[_FLIPPED:]
    rng = np.random.default_rng(seed)
    flipped = (rng.integers(0, 2, size=(_PERMUTATIONS, large.size), dtype=np.int8) * 2 - 1) @ large
    flipped += math.sqrt(float(small @ small)) * rng.standard_normal(_PERMUTATIONS)
    return (int((np.abs(flipped) >= observed).sum()) + 1) / (_PERMUTATIONS + 1)


def detectable(se: float, *, level: float = 0.95, power: float = _POWER) -> float:
    """Return the smallest true difference that is found with `power` at this standard error."""
    return (quantile(level) + normal_quantile(power)) * se


def detectable_share(clusters: int) -> float | None:
    """Return the smallest difference of a share that so many pairs find with 80 % power, before any is measured.

    Of shares near one half whose answers correlate by one half the difference has the variance 2 · ¼ · (1 − ½). None with
    fewer than two, of which nothing can be said.
    """
    return detectable((_SHARE_VARIANCE / clusters) ** 0.5) if clusters > 1 else None


def units_needed(difference: float, sd: float, *, level: float = 0.95, power: float = _POWER) -> int:
    """Return how many paired units find `difference` when single differences have the standard deviation `sd`."""
    if difference == 0:
        raise BadInput(
            "No number of units finds a difference of 0.",
            where="difference",
            todo="Give the smallest one that matters.",
        )
    return math.ceil((detectable(sd, level=level, power=power) / difference) ** 2)


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
