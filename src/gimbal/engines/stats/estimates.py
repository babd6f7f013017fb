"""A number with its uncertainty, and the intervals of means and shares.

Sources: Miller, arXiv 2411.00640 (clustered standard errors); Wilson 1927; Clopper and Pearson 1934.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

Floats = NDArray[np.float64]


def undefined(reason: str, n: int = 0, *, level: float = 0.95, method: str = "") -> Estimate:
    """Return an estimate that has no value, and why."""
    return Estimate(value=None, n=n, level=level, method=method, undefined=reason)


def normal(value: float, se: float, n: int, *, level: float, method: str, df: float = math.inf) -> Estimate:
    """Return value ± t(df)·se."""
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    return Estimate(value=value, low=value - half, high=value + half, level=level, n=n, se=se, method=method)


def floats(values: ArrayLike, where: str = "values") -> Floats:
    """Return a one-dimensional float array; raise BadInput when it is not one or not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise BadInput(f"{where} is not a list of finite numbers.", where=where, todo="Leave missing values out.")
    return array


def codes(clusters: Sequence[str] | NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """Return a whole number per cluster; without clusters each unit is its own."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise BadInput(f"{len(clusters)} clusters for {n} values.", where="clusters", todo="Give one per value.")
    return np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


def mean(values: ArrayLike, clusters: Sequence[str] | None = None, *, level: float = 0.95) -> Estimate:
    """Return the mean with a cluster-robust t interval: SE = (1/n)·√Σ_c(Σ_{i∈c} r_i)² · √(C/(C−1)), df = C−1.

    With fewer than two clusters there is no standard error: value without interval, and `undefined` says so. Values that
    are all 0 or 1 are a share, whose interval is Wilson's at the effective number of units: a t interval would have no
    width where all agree, and reach beyond 0 and 1.
    """
    x = floats(values)
    if not x.size:
        return undefined("no values", level=level, method="clustered t")
    group = codes(clusters, x.size)
    count = int(group.max()) + 1
    value = float(x.mean())
    if count < 2:
        reason = "one cluster has no standard error"
        return Estimate(value=value, level=level, n=x.size, clusters=count, method="clustered t", undefined=reason)
    sums = np.bincount(group, weights=x - value, minlength=count)
    se = math.sqrt(float(sums @ sums) * count / (count - 1)) / x.size
    if bool(np.isin(x, (0.0, 1.0)).all()):
        return _share(value, se, x.size, count, level)
    return msgspec.structs.replace(
        normal(value, se, x.size, level=level, method="clustered t", df=count - 1), clusters=count
    )


def _share(p: float, se: float, n: int, clusters: int, level: float) -> Estimate:
    """Return a share of clustered units: Wilson at n divided by the design effect, at most n and at least clusters."""
    binomial = math.sqrt(p * (1 - p) / n)
    effect = (se / binomial) ** 2 if binomial else n / clusters
    low, high = _wilson_bounds(p, n / min(max(effect, 1.0), n / clusters), level)
    return Estimate(
        value=p, low=low, high=high, level=level, n=n, clusters=clusters, se=se, method="Wilson, effective units"
    )


def _wilson_bounds(p: float, n: float, level: float) -> tuple[float, float]:
    z = float(stats.norm.ppf(0.5 + level / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def wilson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a share with Wilson's interval, which keeps its level where Wald's does not."""
    if not 0 <= successes <= n:
        raise BadInput(f"{successes} of {n} is not a share.", where="successes", todo="Give 0 to n.")
    if n == 0:
        return undefined("no values", level=level, method="Wilson")
    p = successes / n
    low, high = _wilson_bounds(p, n, level)
    return Estimate(value=p, low=low, high=high, level=level, n=n, method="Wilson")


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Return a share with the exact interval, never below its level."""
    if not 0 <= successes <= n or n == 0:
        return undefined("no values", level=level, method="Clopper-Pearson")
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return Estimate(value=successes / n, low=low, high=high, level=level, n=n, method="Clopper-Pearson")
