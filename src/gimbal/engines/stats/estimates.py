"""A number with its uncertainty, and the intervals of means and shares; `paired` and `ranking` build on them.

Sources: Miller, arXiv 2411.00640 (clustered standard errors); Bell and McCaffrey 2002 (leaving clusters out, CR3); Kish
1965 (effective number of units); Korn and Graubard 1998 (shares of clustered units); Wilson 1927; Clopper and Pearson
1934.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gimbal.engines.stats.distributions import Floats, beta_quantile, t_quantile
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

Clusters = Sequence[str] | NDArray[np.generic]


def undefined(reason: str, n: int = 0, *, level: float = 0.95, method: str = "") -> Estimate:
    """Return an estimate that has no value, and why."""
    return Estimate(value=None, n=n, level=level, method=method, undefined=reason)


def normal(value: float, se: float, n: int, *, level: float, method: str, df: float = math.inf) -> Estimate:
    """Return value ± t(df)·se."""
    half = quantile(level, df) * se
    return Estimate(value=value, low=value - half, high=value + half, level=level, n=n, se=se, method=method)


def quantile(level: float, df: float = math.inf) -> float:
    """Return how many standard errors a two-sided interval of this level reaches; BadInput unless 0 < level < 1."""
    if not 0 < level < 1:
        raise BadInput(f"The level {level} is not between 0 and 1.", where="level", todo="Use 0.95.")
    return t_quantile(0.5 + level / 2, df)


def floats(values: ArrayLike, where: str = "values") -> Floats:
    """Return a one-dimensional float array; raise BadInput when it is not one or not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise BadInput(f"{where} is not a list of finite numbers.", where=where, todo="Leave missing values out.")
    return array


def codes(clusters: Clusters | None, n: int) -> NDArray[np.int64]:
    """Return a whole number per cluster; without clusters each unit is its own."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise BadInput(f"{len(clusters)} clusters for {n} values.", where="clusters", todo="Give one per value.")
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How the units of a sample fall into clusters, and what that does to the error of their mean."""

    clusters: int
    kish: float
    """Σm² / n: the design effect if all units of a cluster were alike; 1 without clusters."""
    se: float
    """CR3: √((C−1)/C · Σ_c(Σ_{i∈c} r_i / (n−m_c))²), which for clusters of one size is the CR1 form of the reference."""
    df: float
    """Effective clusters less one: n/kish − 1."""


def spread(x: Floats, group: NDArray[np.int64]) -> Spread:
    """Return the cluster-robust error of the mean; at least two clusters."""
    sizes = np.bincount(group).astype(np.float64)
    sums = np.bincount(group, weights=x - x.mean())
    kish = float(sizes @ sizes) / x.size
    ratio = sums / (x.size - sizes)
    se = math.sqrt(float(ratio @ ratio) * (sizes.size - 1) / sizes.size)
    # Sums that are zero but for rounding have no spread.
    se = se if se > 1e-12 * float(np.abs(x).max()) else 0.0
    return Spread(clusters=sizes.size, kish=kish, se=se, df=max(x.size / kish - 1, 1.0))


def effective(found: Spread, n: int, se_single: float, level: float) -> float:
    """Return how many independent units a clustered share is worth: n over the design effect, for a normal quantile.

    `se_single` is the standard error that independent units would have. The effect is kept between 1 and Kish's; with
    few clusters it is itself uncertain, which (t(n−1)/t(df))² makes good (Korn and Graubard).
    """
    effect = (found.se / se_single) ** 2 if se_single else found.kish
    units = n / min(max(effect, 1.0), found.kish)
    return units * (quantile(level, max(n - 1, 1)) / quantile(level, found.df)) ** 2 if found.kish > 1 else units


def mean(values: ArrayLike, clusters: Clusters | None = None, *, level: float = 0.95, bounded: bool = True) -> Estimate:
    """Return the mean of `values`, shape (n,), with an interval that respects clusters.

    Values that are all 0 or 1 are a share, whose interval is Wilson's at the effective number of units: a t interval
    would have no width where all agree, and reach beyond 0 and 1. Values that all lie within 0 and 1 are taken to be so
    bounded unless `bounded` says that they are amounts, which only happen to; for the others and for undefined intervals
    see `robust_mean`.
    """
    x = floats(values)
    group = codes(clusters, x.size)
    if not bounded or not x.size or x.min() < 0 or x.max() > 1:
        return robust_mean(x, group, level=level)
    if group.max() >= 1 and bool(np.isin(x, (0.0, 1.0)).all()):
        return _share(float(x.mean()), spread(x, group), x.size, level)
    return robust_mean(x, group, level=level, bounds=(0.0, 1.0))


def robust_mean(
    x: Floats, group: NDArray[np.int64], *, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Return the mean with a cluster-robust t interval; `group` numbers the cluster of each value.

    With fewer than two clusters there is no standard error: value without interval, and `undefined` says so. `bounds`
    are the least and largest value that a unit can have; the interval then allows for rare values that were not seen,
    which a t interval knows nothing of. Without bounds, values without any spread have no interval.
    """
    if not x.size:
        return undefined("no values", level=level, method="clustered t")
    value, count = float(x.mean()), int(group.max()) + 1
    if count < 2:
        reason = "one cluster has no standard error"
        return Estimate(value=value, level=level, n=x.size, clusters=count, method="clustered t", undefined=reason)
    found = spread(x, group)
    estimate = normal(value, found.se, x.size, level=level, method="clustered t", df=found.df)
    estimate = msgspec.structs.replace(estimate, clusters=count)
    if bounds is not None:
        return _unseen(estimate, found, bounds)
    if found.se == 0:
        return msgspec.structs.replace(estimate, low=None, high=None, undefined="no spread to judge by")
    return estimate


def _unseen(estimate: Estimate, found: Spread, bounds: tuple[float, float]) -> Estimate:
    """Widen an interval, where need be, to allow for a share of units at either bound too rare to have been seen.

    Of C clusters none showed it, so that share is at most 1 − ((1 − level)/2)^(1/C) (Clopper–Pearson). Without this, 100
    answers that score .99 to 1 would exclude that 2 % of all fail.
    """
    value, low, high = estimate.value or 0.0, estimate.low or 0.0, estimate.high or 0.0
    rare = 1 - ((1 - estimate.level) / 2) ** (found.kish / estimate.n)
    wide_low, wide_high = value - rare * (value - bounds[0]), value + rare * (bounds[1] - value)
    method = estimate.method if low <= wide_low and high >= wide_high else "clustered t, unseen values allowed for"
    low, high = max(bounds[0], min(low, wide_low)), min(bounds[1], max(high, wide_high))
    return msgspec.structs.replace(estimate, low=low, high=high, se=found.se or (high - low) / 4, method=method)


def _share(p: float, found: Spread, n: int, level: float) -> Estimate:
    """Return a share of clustered units: Wilson's interval at their effective number."""
    low, high = wilson_bounds(p, effective(found, n, math.sqrt(p * (1 - p) / n), level), level)
    return Estimate(
        value=p,
        low=low,
        high=high,
        level=level,
        n=n,
        clusters=found.clusters,
        se=found.se or (high - low) / 4,
        method="Wilson, effective units",
    )


def wilson_bounds(p: float, n: float, level: float) -> tuple[float, float]:
    """Return Wilson's interval of a share p of n units, which need not be whole."""
    z = quantile(level)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def wilson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a share with Wilson's interval, which keeps its level where Wald's does not."""
    checked_share(successes, n)
    if n == 0:
        return undefined("no values", level=level, method="Wilson")
    p = successes / n
    low, high = wilson_bounds(p, n, level)
    return Estimate(value=p, low=low, high=high, level=level, n=n, method="Wilson")


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a share with the exact interval, never below its level."""
    checked_share(successes, n)
    if n == 0:
        return undefined("no values", level=level, method="Clopper-Pearson")
    quantile(level)  # refuses a level that is none
    tail = (1 - level) / 2
    low = beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    high = beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return Estimate(value=successes / n, low=low, high=high, level=level, n=n, method="Clopper-Pearson")


def checked_share(successes: int, n: int, where: str = "successes") -> None:
    """Raise BadInput unless 0 ≤ successes ≤ n."""
    if not 0 <= successes <= n:
        raise BadInput(f"{successes} of {n} is not a share.", where=where, todo="Give 0 to n.")


def binary(labels: Any, where: str = "labels") -> NDArray[np.bool_]:
    """Return labels of 0 and 1 (or booleans), shape (n,), as booleans; raise BadInput for any other value."""
    y = np.asarray(labels)
    if y.ndim != 1 or (y.size and y.dtype.kind not in "biuf") or not np.isin(y, (0, 1)).all():
        raise BadInput(f"{where} is not a list of 0 and 1.", where=where, todo="Map the classes to 0 and 1.")
    return y.astype(bool)


def weighted_mean(
    values: ArrayLike,
    weights: ArrayLike,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    bounded: bool = True,
) -> Estimate:
    """Return Σwx / Σw of `values` and `weights`, shape (n,) each, with a cluster-robust interval.

    The error is that of the ratio's linear part, w(x − mean) / w̄ (Särndal, Swensson and Wretman 1992, 5.6). Equal
    weights are `mean`. Raise BadInput for weights that are not positive.
    """
    x, w = floats(values), floats(weights, "weights")
    if x.size != w.size or (w.size and w.min() <= 0):
        raise BadInput("Weights are positive numbers, one per value.", where="weights", todo="Leave out what has none.")
    if not x.size or w.max() == w.min():
        return mean(x, clusters, level=level, bounded=bounded)
    value = float(w @ x / w.sum())
    found = robust_mean(value + w / w.mean() * (x - value), codes(clusters, x.size), level=level)
    return msgspec.structs.replace(found, method="weighted, clustered t")
