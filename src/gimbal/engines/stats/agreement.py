"""How far raters agree beyond chance: two raters by Cohen's κ, any number with gaps by Krippendorff's α.

Both fall when one category is common, whatever the raters do: show them beside the share of each category.
Sources: Cohen 1960; Fleiss, Cohen and Everitt 1969 (standard error of κ); Krippendorff 2004.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gimbal.engines.stats.distributions import Floats
from gimbal.engines.stats.estimates import quantile, undefined
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_RESAMPLES = 1_999


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable], *, level: float = 0.95) -> Estimate:
    """Return κ of two raters of the same units; undefined where chance alone would agree on everything."""
    if len(first) != len(second):
        raise BadInput(f"{len(first)} and {len(second)} ratings.", where="second", todo="Pair them by unit.")
    n = len(first)
    if n == 0:
        return undefined("no values", level=level, method="Cohen's kappa")
    place = {label: i for i, label in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(place), len(place)))
    np.add.at(table, ([place[label] for label in first], [place[label] for label in second]), 1 / n)
    rows, columns, agreed = table.sum(1), table.sum(0), np.diag(table)
    chance = float(rows @ columns)
    if chance >= 1 - 1e-12:
        return undefined("both raters gave one and the same category", n, level=level, method="Cohen's kappa")
    kappa = (float(agreed.sum()) - chance) / (1 - chance)
    same = float((agreed * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    other = table * (columns[:, None] + rows[None, :]) ** 2
    crossed = (1 - kappa) ** 2 * float(other.sum() - np.diag(other).sum())
    variance = (same + crossed - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    if variance > 1e-15:
        # On Fisher's scale, where the error of a κ near 1 is not lopsided.
        se = math.sqrt(variance)
        centre, half = math.atanh(kappa), quantile(level) * se / (1 - kappa**2)
        low, high = math.tanh(centre - half), math.tanh(centre + half)
        return Estimate(value=kappa, low=low, high=high, level=level, n=n, se=se, method="Cohen's kappa")
    # All agree, or none: of n units no other was seen, so at most this share is (Clopper–Pearson).
    quantile(level)
    kappa = round(kappa, 12)
    room = (1 - ((1 - level) / 2) ** (1 / n)) / (1 - chance)
    low, high = (max(-1.0, kappa - room), kappa) if kappa > 0 else (kappa, min(1.0, kappa + room))
    method = "Cohen's kappa, no unit differs"
    return Estimate(value=kappa, low=low, high=high, level=level, n=n, se=(high - low) / 2, method=method)


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable | None]],
    *,
    metric: Literal["nominal", "interval"] = "nominal",
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return α = 1 − D_o/D_e; `ratings` has a row per rater and a column per unit, None where a rating is missing.

    Units with fewer than two ratings do not count. The interval is the percentile bootstrap over units. `n` counts the
    units that were compared. For `interval` the ratings are numbers.
    """
    method = f"Krippendorff's alpha, {metric}"
    quantile(level)
    if len({len(row) for row in ratings}) > 1:
        raise BadInput("The raters have rows of different lengths.", where="ratings", todo="Fill gaps with None.")
    units = [[value for value in unit if value is not None] for unit in zip(*ratings, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    if not units:
        return undefined("no unit has two ratings", level=level, method=method)
    sizes = np.array([len(unit) for unit in units], np.float64)
    moments = _counts(units) if metric == "nominal" else _powers(units)
    within = _disagreement(moments, sizes, metric) / (sizes - 1)
    value = _alpha(np.ones((1, sizes.size)), sizes, moments, within, metric)[0]
    if np.isnan(value):
        return undefined("all ratings are the same", sizes.size, level=level, method=method)
    drawn = np.random.default_rng(seed).multinomial(sizes.size, np.full(sizes.size, 1 / sizes.size), size=_RESAMPLES)
    again = _alpha(drawn.astype(np.float64), sizes, moments, within, metric)
    again = again[~np.isnan(again)]
    if sizes.size < 2 or again.size < _RESAMPLES / 2 or not within.any():
        reason = "too little disagreement to judge by" if sizes.size > 1 else "one unit only"
        return Estimate(value=float(value), level=level, n=sizes.size, method=method, undefined=reason)
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    se = float(again.std(ddof=1))
    return Estimate(
        value=float(value), low=float(low), high=float(high), level=level, n=sizes.size, se=se, method=method
    )


def _counts(units: Sequence[Sequence[Hashable]]) -> Floats:
    """Return how often each unit got each category, shape (units, categories)."""
    place = {label: i for i, label in enumerate(dict.fromkeys(label for unit in units for label in unit))}
    counts = np.zeros((len(units), len(place)))
    for row, unit in enumerate(units):
        for label in unit:
            counts[row, place[label]] += 1
    return counts


def _powers(units: Sequence[Sequence[Hashable]]) -> Floats:
    """Return the sum and the sum of squares of each unit's ratings, shape (units, 2)."""
    if not all(isinstance(value, int | float) and math.isfinite(value) for unit in units for value in unit):
        raise BadInput("Not all ratings are numbers.", where="ratings", todo="Use the nominal metric for categories.")
    numbers = [np.array(unit, np.float64) for unit in units]
    # α does not change with the origin; near it the squares lose nothing.
    origin = float(np.concatenate(numbers).mean())
    return np.array([[(x - origin).sum(), ((x - origin) ** 2).sum()] for x in numbers])


def _disagreement(moments: Floats, sizes: Floats, metric: str) -> Floats:
    """Return the sum of distances over all ordered pairs of ratings, from the moments of each row."""
    if metric == "nominal":
        return sizes**2 - (moments**2).sum(-1)
    return 2 * (sizes * moments[..., 1] - moments[..., 0] ** 2)


def _alpha(weights: Floats, sizes: Floats, moments: Floats, within: Floats, metric: str) -> NDArray[np.float64]:
    """Return α for each row of unit weights, NaN where all ratings are the same."""
    total = weights @ sizes
    observed = weights @ within / total
    expected = _disagreement(weights @ moments, total, metric) / (total * (total - 1))
    varied = expected > 1e-12 * total
    return np.where(varied, 1 - observed / np.where(varied, expected, 1.0), np.nan)
