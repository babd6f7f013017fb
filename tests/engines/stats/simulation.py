"""How often something happened in a simulation, held against the rate that was promised.

A test fails where a true rate as promised would give such a count less than once in ten thousand seeds.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from gimbal.engines.stats.model import Estimate

RARE = 1e-4


def at_most(count: int, runs: int, rate: float) -> bool:
    """Tell whether a count is no sign of a rate above the promised one."""
    return count <= stats.binom.isf(RARE, runs, rate)


def at_least(count: int, runs: int, rate: float) -> bool:
    """Tell whether a count is no sign of a rate below the promised one."""
    return count >= stats.binom.ppf(RARE, runs, rate)


def covered(draw: Callable[[], Estimate], truth: float, runs: int) -> int:
    """Return how many of the runs gave an interval that holds the truth."""
    found = [draw() for _ in range(runs)]
    return sum(e.low is not None and e.high is not None and e.low <= truth <= e.high for e in found)


def clustered(rng: np.random.Generator, sizes: list[int], icc: float, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Return 0 or 1 for each unit and its cluster: a beta-binomial with this intraclass correlation."""
    a, b = mean * (1 - icc) / icc, (1 - mean) * (1 - icc) / icc
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return (rng.random(groups.size) < rng.beta(a, b, len(sizes))[groups]).astype(float), groups
