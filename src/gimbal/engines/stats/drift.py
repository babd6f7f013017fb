"""How far a sample is from a reference, with the sampling error taken into account.

The verdict is about a distance that matters (δ), not about any difference at all: with enough rows every difference is
significant. Bins are the reference's own quantiles, so a batch cannot move them: one value at 200σ falls into the last
bin and hides nothing. Values that make up a bin by themselves, and missing values, have cells of their own.
Sources: Dvoretzky–Kiefer–Wolfowitz with Massart's constant, for two samples Wei and Dudley 2012; McDiarmid 1989; Yurdakul
and Naranjo (PSI under no change is (1/n + 1/m)·χ² with B−1 degrees of freedom, so its expectation is (B−1)(1/n + 1/m)).
"""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from gimbal.engines.stats.distributions import Floats, chi2_tail
from gimbal.engines.stats.estimates import quantile, undefined
from gimbal.engines.stats.model import Estimate

DriftVerdict = Literal["drifted", "stable", "undecided"]

_SPARSE = 5.0
"""χ² is trusted where every cell expects this many; below it the p-value comes from shuffled tables."""
_SHUFFLES = 1_999
_CELLS = 200
"""Rarer categories share one cell of the PSI and its test; the distance counts each."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one feature."""

    distance: Estimate
    """0 to 1: Kolmogorov–Smirnov for numbers, total variation for categories."""
    psi: float | None
    """Population stability index, its expectation under no change taken off; can be slightly negative."""
    p_value: float | None
    """Of no change: Pearson's χ² over the cells of the PSI, by shuffling where they are sparse."""
    verdict: DriftVerdict
    missing_share: float


def numeric(
    reference: ArrayLike, sample: ArrayLike, *, least: float = 0.1, level: float = 0.95, bins: int = 10
) -> Drift:
    """Compare a numeric sample with its reference, shape (n,) and (m,); NaN is missing and counts as a value.

    `least` is δ: drifted when the whole interval of the distance lies above it, stable when it does not reach it.
    """
    # NaN sorts last: for the distribution functions missing is one more value, larger than all others.
    ref, now = np.sort(np.asarray(reference, np.float64)), np.sort(np.asarray(sample, np.float64))
    missing = float(np.isnan(now).mean()) if now.size else 0.0
    if not ref.size or not now.size:
        return _undecided(now.size, missing, level, "Kolmogorov-Smirnov")
    distance, half = _largest_gap(ref, now), _concentration(ref.size, now.size, level)
    edges = _edges(ref[~np.isnan(ref)], bins)
    psi, p_value = _psi(_cells(ref, edges), _cells(now, edges))
    low, high = distance - half, distance + half
    return _drift(distance, low, high, now.size, level, least, psi, p_value, missing, "Kolmogorov-Smirnov, DKW")


def _largest_gap(reference: Floats, sample: Floats) -> float:
    """Return the largest difference of the two distribution functions; both sorted."""
    grid = np.concatenate([reference, sample])
    left = np.searchsorted(reference, grid, side="right") / reference.size
    right = np.searchsorted(sample, grid, side="right") / sample.size
    return float(np.abs(left - right).max())


def _concentration(n: int, m: int, level: float) -> float:
    """Return how far a distance of two samples is from its expectation at most: DKW's and McDiarmid's bound alike."""
    quantile(level)  # refuses a level that is none
    return math.sqrt(math.log(2 / (1 - level)) / 2 * (1 / n + 1 / m))


def _edges(reference: Floats, bins: int) -> Floats:
    """Return the upper ends of the bins but the last: quantiles of the sorted reference, which are values of it.

    A value that fills a bin by itself is set apart from those below and above it.
    """
    if not reference.size:
        return reference
    upper = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:], method="inverted_cdf")
    values, repeated = np.unique(upper, return_counts=True)
    largest = reference[-1]
    fills = np.count_nonzero(reference == largest) * bins >= reference.size
    alone = values[(repeated > 1) | ((values == largest) & fills)]
    ends = values[values < largest]
    return np.unique(np.concatenate([ends, alone, np.nextafter(alone, -np.inf)]))


def _cells(values: Floats, edges: Floats) -> Floats:
    """Return the count of each bin, and of missing values last."""
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return np.append(counts, values.size - present.size).astype(np.float64)


def categorical(
    reference: Mapping[str, int], sample: Mapping[str, int], *, least: float = 0.1, level: float = 0.95
) -> Drift:
    """Compare counts by category; one that either side lacks counts as any other; the key "" stands for missing values.

    The distance of two samples is too large on average, more so with many categories; its lower end allows for that.
    """
    # Categories that the reference lacks are not put together: it lacks some by chance, and they would look like drift.
    keys = sorted(reference.keys() | sample.keys())
    ref = np.array([reference.get(key, 0) for key in keys], np.float64)
    now = np.array([sample.get(key, 0) for key in keys], np.float64)
    n, m = int(ref.sum()), int(now.sum())
    missing = sample.get("", 0) / m if m else 0.0
    if not n or not m:
        return _undecided(m, missing, level, "total variation")
    p, q = ref / n, now / m
    distance = float(np.abs(p - q).sum() / 2)
    # Expectation − truth is at least 0 (the distance is convex), and at most that of the two shares' own errors.
    excess = 0.5 * float(np.sqrt(p * (1 - p) / n + q * (1 - q) / m).sum())
    half = _concentration(n, m, level)
    psi, p_value = _psi(*_commonest(ref, now))
    low, high = distance - excess - half, distance + half
    return _drift(distance, low, high, m, level, least, psi, p_value, missing, "total variation, McDiarmid")


def _commonest(ref: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Return the counts of the commonest cells, the rest as one; which they are is decided by both samples together."""
    if ref.size <= _CELLS:
        return ref, now
    order = np.argsort(-(ref + now), kind="stable")
    kept, rest = order[: _CELLS - 1], order[_CELLS - 1 :]
    return np.append(ref[kept], ref[rest].sum()), np.append(now[kept], now[rest].sum())


def _psi(ref: Floats, now: Floats) -> tuple[float, float]:
    """Return the corrected PSI and the p-value of no change, over cells that either side has."""
    used = (ref + now) > 0
    ref, now = ref[used], now[used]
    n, m, cells = float(ref.sum()), float(now.sum()), ref.size
    if cells < 2:
        return 0.0, 1.0
    # Half a count keeps empty cells finite.
    p, q = (ref + 0.5) / (n + 0.5 * cells), (now + 0.5) / (m + 0.5 * cells)
    raw = float(((q - p) * np.log(q / p)).sum())
    return raw - (cells - 1) * (1 / n + 1 / m), _p_value(ref, now)


def _p_value(ref: Floats, now: Floats) -> float:
    """Return the p-value of equal shares, given how often each cell occurs in both samples together."""
    total, n, m = ref + now, float(ref.sum()), float(now.sum())

    def chi2(counts: Floats) -> Floats:
        # Of a table with two rows; both rows are off by the same number of rows.
        return ((counts - total * m / (n + m)) ** 2 / total).sum(-1) * (n + m) ** 2 / (n * m)

    if float(total.min()) * min(n, m) / (n + m) >= _SPARSE:
        return chi2_tail(float(chi2(now)), ref.size - 1)
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_hypergeometric(total.astype(np.int64), int(m), size=_SHUFFLES, method="marginals")
    reached = int((chi2(drawn.astype(np.float64)) >= float(chi2(now)) * (1 - 1e-9)).sum())
    return (reached + 1) / (_SHUFFLES + 1)


def _undecided(n: int, missing: float, level: float, method: str) -> Drift:
    empty = undefined("no values", n, level=level, method=method)
    return Drift(distance=empty, psi=None, p_value=None, verdict="undecided", missing_share=missing)


def _drift(
    distance: float,
    low: float,
    high: float,
    n: int,
    level: float,
    least: float,
    psi: float,
    p_value: float,
    missing: float,
    method: str,
) -> Drift:
    low, high = max(0.0, low), min(1.0, high)
    verdict: DriftVerdict = "drifted" if low > least else "stable" if high <= least else "undecided"
    estimate = Estimate(value=distance, low=low, high=high, level=level, n=n, method=method)
    return Drift(distance=estimate, psi=psi, p_value=p_value, verdict=verdict, missing_share=missing)
