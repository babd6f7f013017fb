"""How far a sample is from a reference, with the sampling error taken into account.

Bins are the reference's own quantiles, fixed once: a batch cannot move them, missing values and values beyond the
reference have cells of their own, so one value at 200σ hides nothing. The verdict is about a distance that matters
(δ), not about any difference at all: with enough rows every difference is significant.
Sources: Dvoretzky–Kiefer–Wolfowitz with Massart's constant; Yurdakul and Naranjo (PSI under no change is
(1/n + 1/m)·χ² with B−1 degrees of freedom, so its expectation is (B−1)(1/n + 1/m)).
"""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gimbal.engines.stats.estimates import Floats, undefined
from gimbal.engines.stats.model import Estimate

DriftVerdict = Literal["drifted", "stable", "undecided"]


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one feature."""

    distance: Estimate
    """0 to 1: Kolmogorov–Smirnov for numbers, total variation for categories."""
    psi: float | None
    """Population stability index, its expectation under no change taken off; can be slightly negative."""
    p_value: float | None
    """Of no change, from the χ² form of the PSI."""
    verdict: DriftVerdict
    missing_share: float


def numeric(
    reference: ArrayLike, sample: ArrayLike, *, least: float = 0.1, level: float = 0.95, bins: int = 10
) -> Drift:
    """Compare a numeric sample with its reference; NaN is missing and counts as a cell of its own."""
    ref, now = np.asarray(reference, np.float64), np.asarray(sample, np.float64)
    ref_ok, now_ok = np.sort(ref[~np.isnan(ref)]), np.sort(now[~np.isnan(now)])
    missing = 1 - now_ok.size / now.size if now.size else 0.0
    if not ref_ok.size or not now.size:
        empty = undefined("no values", now.size, level=level, method="Kolmogorov-Smirnov")
        return Drift(distance=empty, psi=None, p_value=None, verdict="undecided", missing_share=missing)
    # Missing values are compared as a category: their share counts into the distance.
    gap = abs((1 - ref_ok.size / ref.size) - missing)
    distance = max(_largest_gap(ref_ok, now_ok), gap)
    half = _dkw(ref_ok.size, level) + _dkw(max(now_ok.size, 1), level)
    edges = np.unique(np.quantile(ref_ok, np.linspace(0, 1, bins + 1)[1:-1]))
    psi, p_value = _psi(_cells(ref, edges), _cells(now, edges))
    method = "Kolmogorov-Smirnov, DKW"
    return _drift(distance, half, now.size, level, least, psi, p_value, missing, method)


def _largest_gap(reference: Floats, sample: Floats) -> float:
    """Return the largest difference of the two distribution functions; both sorted."""
    if not sample.size:
        return 1.0
    grid = np.concatenate([reference, sample])
    left = np.searchsorted(reference, grid, side="right") / reference.size
    right = np.searchsorted(sample, grid, side="right") / sample.size
    return float(np.abs(left - right).max())


def _dkw(n: int, level: float) -> float:
    # Each side gets half of the error, so that both bands hold together.
    return math.sqrt(math.log(4 / (1 - level)) / (2 * n))


def _cells(values: Floats, edges: Floats) -> Floats:
    """Return the count of each bin, and of missing values last."""
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return np.append(counts, values.size - present.size).astype(np.float64)


def categorical(
    reference: Mapping[str, int], sample: Mapping[str, int], *, least: float = 0.1, level: float = 0.95
) -> Drift:
    """Compare counts by category; categories that the reference lacks share one cell; missing values are one too.

    The key "" stands for missing values.
    """
    known = sorted(reference)
    ref = np.array([reference[k] for k in known] + [0], np.float64)
    now = np.array(
        [sample.get(k, 0) for k in known] + [sum(v for k, v in sample.items() if k not in reference)], np.float64
    )
    total = int(now.sum())
    missing = sample.get("", 0) / total if total else 0.0
    if not total or not ref.sum():
        empty = undefined("no values", total, level=level, method="total variation")
        return Drift(distance=empty, psi=None, p_value=None, verdict="undecided", missing_share=missing)
    p, q = ref / ref.sum(), now / total
    distance = float(np.abs(p - q).sum() / 2)
    half = _variation_error(p, int(ref.sum()), level) + _variation_error(q, total, level)
    psi, p_value = _psi(ref, now)
    return _drift(distance, half, total, level, least, psi, p_value, missing, "total variation, bounded differences")


def _variation_error(shares: Floats, n: int, level: float) -> float:
    """Return a bound on how far the empirical shares are from the true ones in total variation.

    Expectation ≤ ½·Σ√(p(1−p)/n), and changing one of n values moves it by at most 1/n (McDiarmid).
    """
    expected = 0.5 * float(np.sqrt(shares * (1 - shares) / n).sum())
    return expected + math.sqrt(math.log(2 / (1 - level)) / (2 * n))


def _psi(ref: Floats, now: Floats) -> tuple[float | None, float | None]:
    """Return the corrected PSI and the p-value of no change, over cells that either side has."""
    used = (ref + now) > 0
    ref, now = ref[used], now[used]
    n, m, cells = ref.sum(), now.sum(), ref.size
    if cells < 2:
        return 0.0, 1.0
    # Half a count keeps empty cells finite and is taken off again with the expectation.
    p, q = (ref + 0.5) / (n + 0.5 * cells), (now + 0.5) / (m + 0.5 * cells)
    raw = float(((q - p) * np.log(q / p)).sum())
    table = np.vstack([ref, now])
    expected = table.sum(0, keepdims=True) * table.sum(1, keepdims=True) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return raw - (cells - 1) * (1 / n + 1 / m), float(stats.chi2.sf(chi2, cells - 1))


def _drift(
    distance: float,
    half: float,
    n: int,
    level: float,
    least: float,
    psi: float | None,
    p_value: float | None,
    missing: float,
    method: str,
) -> Drift:
    low, high = max(0.0, distance - half), min(1.0, distance + half)
    verdict: DriftVerdict = "drifted" if low > least else "stable" if high <= least else "undecided"
    estimate = Estimate(value=distance, low=low, high=high, level=level, n=n, method=method)
    return Drift(distance=estimate, psi=psi, p_value=p_value, verdict=verdict, missing_share=missing)
