"""What an evaluation could find, before it is paid for: detectable differences and the number of units.

`paired.detectable` and `paired.units_needed` do the arithmetic; here is what the units' own spread makes of it.
Source: Miller, arXiv 2411.00640.
"""

import math

from gimbal.engines.stats.paired import detectable, units_needed
from gimbal.kernel.errors import BadInput


def sd_of_difference(
    before: float,
    after: float,
    *,
    correlation: float = 0.0,
    noise_before: float = 0.0,
    noise_after: float = 0.0,
    repeats: int = 1,
) -> float:
    """Return the standard deviation of one unit's difference: √(ω_a² + ω_b² − 2rω_aω_b + (σ_a² + σ_b²)/K).

    `before` and `after` are the standard deviations between units, `correlation` (r) that of the two versions on the same
    unit (0 when each has units of its own). `noise_*` is the standard deviation of repeats of one unit, of which
    `repeats` are averaged: more of them cannot make the spread between units smaller.
    """
    if min(before, after, noise_before, noise_after) < 0 or not -1 <= correlation <= 1 or repeats < 1:
        raise BadInput(
            "A standard deviation is negative, the correlation beyond ±1, or there are no repeats.",
            where="correlation",
            todo="Give standard deviations of 0 or more, a correlation within ±1, 1 repeat or more.",
        )
    between = before**2 + after**2 - 2 * correlation * before * after
    return math.sqrt(max(between, 0.0) + (noise_before**2 + noise_after**2) / repeats)


def design_effect(units_per_cluster: float, intraclass_correlation: float) -> float:
    """Return how many clustered units are worth one independent one: 1 + (m − 1)·ICC."""
    return max(1.0, 1 + (units_per_cluster - 1) * intraclass_correlation)


def smallest_difference(n: int, sd: float, *, effect: float = 1.0, level: float = 0.95, power: float = 0.8) -> float:
    """Return the difference that `n` units find with `power`; `sd` as of `sd_of_difference`, `effect` the design's."""
    if n < 1:
        raise BadInput(f"{n} units find nothing.", where="n", todo="Give 1 or more.")
    return detectable(sd * math.sqrt(effect / n), level=level, power=power)


def units(difference: float, sd: float, *, effect: float = 1.0, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many units find `difference` with `power`; when unpaired, that many of each version."""
    return units_needed(difference, sd * math.sqrt(effect), level=level, power=power)
