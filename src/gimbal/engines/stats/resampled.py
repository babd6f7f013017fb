"""Intervals of statistics that are no means: clusters are drawn with replacement, and the statistic computed anew.

Source: Efron 1979; Davison and Hinkley 1997, 2.4 (percentile intervals) and 3.8 (clusters are what is drawn).
"""

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.engines.stats.distributions import Floats
from gimbal.engines.stats.estimates import Clusters, codes, undefined
from gimbal.engines.stats.model import Estimate
from gimbal.engines.stats.paired import PairedOutcome, from_difference

Statistic = Callable[[NDArray[np.int64]], float]
"""The value of the units with these places; raises ValueError where it is undefined."""
DRAWS = 499
_FEWEST, _UNITS = 199, 2_000_000
"""Draws that are made of however many units; units that are drawn together, at most."""
_ENOUGH = 0.9
"""Share of the draws that must have a value: where more have none, the interval would be of the luckier ones."""
_METHOD = "cluster bootstrap"


def estimate(
    statistic: Statistic,
    n: int,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """Return a statistic of n units with a percentile interval over draws of clusters; undefined where it says so."""
    return _estimated(statistic, n, clusters, level=level, draws=draws, seed=seed)[0]


def _estimated(
    statistic: Statistic, n: int, clusters: Clusters | None, *, level: float, draws: int, seed: int
) -> tuple[Estimate, Floats]:
    """Return the estimate and the values of the draws."""
    none = np.array([], dtype=np.float64)
    try:
        value = float(statistic(np.arange(n)))
    except ValueError as reason:
        return undefined(str(reason), n, level=level, method=_METHOD), none
    group = codes(clusters, n)
    count = int(group.max()) + 1 if n else 0
    whole = Estimate(value=value, level=level, n=n, clusters=count, method=_METHOD)
    if count < 2:
        return msgspec.structs.replace(whole, undefined="one cluster has no standard error"), none
    found = drawn(statistic, group, draws=draws, seed=seed)
    if found.size < _ENOUGH * draws:
        return msgspec.structs.replace(whole, undefined="too few draws have a value"), none
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    se = float(found.std(ddof=1))
    return msgspec.structs.replace(whole, low=float(low), high=float(high), se=se), found


def compare(
    before: Statistic,
    after: Statistic,
    n: int,
    clusters: Clusters | None = None,
    *,
    margin: float = 0.0,
    level: float = 0.95,
    higher_is_better: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
) -> PairedOutcome:
    """Compare two versions by a statistic of the same n units: each draw has the same clusters of both."""

    def moved(places: NDArray[np.int64]) -> float:
        return after(places) - before(places)

    difference, found = _estimated(moved, n, clusters, level=level, draws=draws, seed=seed)
    p_value = None
    if found.size:
        # A sampled p-value is never 0 (Phipson and Smyth 2010).
        fewer = min(int((found <= 0).sum()), int((found >= 0).sum()))
        p_value = min(1.0, 2 * (fewer + 1) / (found.size + 1))
    return from_difference(difference, p_value, margin=margin, higher_is_better=higher_is_better)


def drawn(statistic: Statistic, group: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Return the statistic of each draw of clusters that has a value; `group` numbers the cluster of each unit."""
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(group))])
    members: list[Any] = [order[a:b] for a, b in itertools.pairwise(starts)]
    random = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(draws):
        chosen = random.integers(0, len(members), len(members))
        try:
            found.append(float(statistic(np.concatenate([members[i] for i in chosen]))))
        except ValueError:
            continue
    return np.array(found, dtype=np.float64)


def draws_for(n: int) -> int:
    """Return how many draws to make of n units: fewer of many, where an interval needs fewer to be as sure."""
    return max(_FEWEST, min(DRAWS, _UNITS // max(n, 1)))
