"""Evidence that may be looked at after every unit: intervals and e-values that hold at all times at once.

Use them where one stops when the answer is clear: an expensive evaluation, a canary, an alarm. The price against a fixed
sample is an interval up to twice as wide.
Sources: Waudby-Smith and Ramdas, arXiv 2010.09686 (betting); Howard et al., arXiv 1810.08240; Waudby-Smith et al., arXiv
2103.06476 (asymptotic); the beta-binomial mixture is Ville's.
"""

import math
import sys

import numpy as np
from numpy.typing import ArrayLike

from gimbal.engines.stats.distributions import Floats, log_beta
from gimbal.engines.stats.estimates import floats, quantile, undefined
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_GRID = 1_000
_BLOCK = 512


def betting(values: ArrayLike, *, level: float = 0.95, low: float = 0.0, high: float = 1.0) -> Estimate:
    """Return the mean of values within `low` and `high`, in order of arrival, with the betting confidence interval.

    Whoever stops at any time, for any reason, has an interval that covers with `level`: no assumption but that values
    are bounded and their mean, given what came before, does not change. The interval never grows with more values.
    """
    x = floats(values)
    if not low < high or (x.size and (x.min() < low or x.max() > high)):
        raise BadInput(f"Not all values lie within {low} and {high}.", where="values", todo="Give their true bounds.")
    quantile(level)
    if not x.size:
        return undefined("no values", level=level, method="betting, anytime-valid")
    scaled = (x - low) / (high - low)
    means = np.linspace(0, 1, _GRID + 1)
    wealth = _largest_wealth(scaled, means, level)
    inside = np.flatnonzero(wealth < math.log(1 / (1 - level)))
    # All means can be refuted (with probability 1 − level): the least refuted one remains.
    inside = inside if inside.size else np.array([wealth.argmin()])
    step = 1 / _GRID
    least, most = max(0.0, float(means[inside[0]]) - step), min(1.0, float(means[inside[-1]]) + step)
    return Estimate(
        value=float(x.mean()),
        low=low + least * (high - low),
        high=low + most * (high - low),
        level=level,
        n=x.size,
        method="betting, anytime-valid",
    )


def _largest_wealth(x: Floats, means: Floats, level: float) -> Floats:
    """Return for each candidate mean the log of the most that the hedged bets against it ever had."""
    t = np.arange(1, x.size + 1)
    guess = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - guess) ** 2)) / (t + 1)
    # Each bet knows only what came before it.
    before = np.concatenate([[0.25], variance[:-1]])
    bets = np.sqrt(2 * math.log(2 / (1 - level)) / (before * t * np.log(t + 1)))
    up, down = np.zeros(means.size), np.zeros(means.size)
    most = np.full(means.size, -math.inf)
    # Half of a stake at most, so that no bet is ever lost wholly.
    up_limit, down_limit = 0.5 / np.maximum(means, 1e-12), 0.5 / np.maximum(1 - means, 1e-12)
    for start in range(0, x.size, _BLOCK):
        gain = x[start : start + _BLOCK, None] - means
        bet = bets[start : start + _BLOCK, None]
        ups = up + np.cumsum(np.log1p(np.minimum(bet, up_limit) * gain), axis=0)
        downs = down + np.cumsum(np.log1p(-np.minimum(bet, down_limit) * gain), axis=0)
        up, down = ups[-1], downs[-1]
        most = np.maximum(most, np.maximum(ups, downs).max(0) + math.log(0.5))
    return most


def asymptotic(values: ArrayLike, *, tightest_at: int, level: float = 0.95) -> Estimate:
    """Return the mean of unbounded values with the asymptotic confidence interval, valid at all times for large n.

    `tightest_at` is the number of values at which the interval shall be as short as it can; choose it beforehand.
    """
    x = floats(values)
    quantile(level)
    if tightest_at < 1:
        raise BadInput(f"{tightest_at} is no number of values.", where="tightest_at", todo="Give 1 or more.")
    if x.size < 2 or not np.ptp(x):
        reason = "fewer than two values" if x.size < 2 else "no spread to judge by"
        return undefined(reason, x.size, level=level, method="asymptotic, anytime-valid")
    alpha, t = 1 - level, x.size
    spread = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tightest_at
    grown = t * spread + 1
    half = float(x.std(ddof=1)) * math.sqrt(2 * grown / (t * t * spread) * math.log(math.sqrt(grown) / alpha))
    value = float(x.mean())
    return Estimate(
        value=value, low=value - half, high=value + half, level=level, n=t, method="asymptotic, anytime-valid"
    )


def wins_e_value(wins: int, losses: int, *, a: float = 1.0, b: float = 1.0) -> float:
    """Return the evidence against wins and losses being equally likely: E = B(a+w, b+l) / B(a, b) · 2^(w+l).

    An e-value: stop and reject at E ≥ 1/α, after however many looks. `a` and `b` say what share of wins one bets on; 1
    and 1 bet on all alike.
    """
    if wins < 0 or losses < 0 or a <= 0 or b <= 0:
        raise BadInput("Counts are not negative, and a and b are positive.", where="wins", todo="Give counts.")
    log_e = log_beta(a + wins, b + losses) - log_beta(a, b) + (wins + losses) * math.log(2)
    return math.exp(min(log_e, math.log(sys.float_info.max)))
