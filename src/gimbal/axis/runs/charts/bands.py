"""Bands over seeds: curves of runs that differ only by chance become their mean and the interval of that mean."""

from collections.abc import Sequence

import numpy as np

from gimbal.engines.console.run_charts import Curve
from gimbal.engines.stats.estimates import quantile

_GRID = 200


def band(name: str, curves: Sequence[Curve], level: float = 0.95) -> Curve:
    """Return the mean of curves with a t interval at each place of a shared grid.

    A curve counts where it has begun and not ended; between its points it is a straight line. Where fewer than two
    count there is a mean and no interval.
    """
    known = [_known(curve) for curve in curves]
    known = [(xs, ys) for xs, ys in known if len(xs)]
    if not known:
        return Curve(name=name, xs=[], ys=[])
    every = np.unique(np.concatenate([xs for xs, _ in known]))
    grid = every if len(every) <= _GRID else np.linspace(every[0], every[-1], _GRID)
    table = np.vstack([np.interp(grid, xs, ys, left=np.nan, right=np.nan) for xs, ys in known])
    here = ~np.isnan(table)
    count = here.sum(axis=0)
    total = np.where(here, table, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(grid), np.nan), where=count > 0)
    apart = np.where(here, (table - mean) ** 2, 0.0).sum(axis=0)
    # A band has few different numbers of curves, and each quantile is asked once.
    steps = {int(n): quantile(level, int(n) - 1) for n in np.unique(count) if n > 1}
    factor = np.array([steps.get(int(n), np.nan) for n in count])
    spread = np.divide(apart, count - 1, out=np.full(len(grid), np.nan), where=count > 1)
    half = factor * np.sqrt(spread / np.maximum(count, 1))
    return Curve(
        name=name,
        xs=[float(x) for x in grid],
        ys=[_or_none(y) for y in mean],
        low=[_or_none(y) for y in mean - half],
        high=[_or_none(y) for y in mean + half],
    )


def _known(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if y is not None and np.isfinite(y)]
    xs = np.array([x for x, _ in pairs], dtype=np.float64)
    ys = np.array([y for _, y in pairs], dtype=np.float64)
    order = np.argsort(xs, kind="stable")
    return xs[order], ys[order]


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
