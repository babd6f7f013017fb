"""Means that a judge or model measured, corrected by the few units that a human labelled as well.

`rogan_gladen` inverts a judge's known error rates and survives a change of prevalence; `ppi_mean` is valid however bad
the judge is, but takes labelled and unlabelled units for samples of one population.
Sources: Rogan and Gladen 1978; Lang and Reiczigel 2014 (its interval in small samples); Angelopoulos et al., arXiv
2301.09633 (PPI) and 2311.01453 (PPI++, the weight λ).
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from gimbal.engines.stats.estimates import checked_share, floats, normal, quantile, undefined
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput


def rogan_gladen(
    judged_good: int,
    judged: int,
    *,
    good_confirmed: int,
    good_checked: int,
    bad_confirmed: int,
    bad_checked: int,
    level: float = 0.95,
) -> Estimate:
    """Return the true share of good units behind a judge who called `judged_good` of `judged` good.

    Of `good_checked` units that a human found good the judge found `good_confirmed` good, and of `bad_checked` bad ones
    `bad_confirmed` bad. The checked units are others than the judged ones. Undefined for a judge no better than chance.
    """
    method = "Rogan-Gladen, Lang-Reiczigel"
    for count, of, where in (
        (judged_good, judged, "judged_good"),
        (good_confirmed, good_checked, "good_confirmed"),
        (bad_confirmed, bad_checked, "bad_confirmed"),
    ):
        checked_share(count, of, where)
        if of == 0:
            return undefined(f"no units behind {where}", judged, level=level, method=method)
    p, q1, q0 = judged_good / judged, good_confirmed / good_checked, bad_confirmed / bad_checked
    if q0 + q1 <= 1:
        return undefined("the judge is no better than chance", judged, level=level, method=method)
    value = min(1.0, max(0.0, (p + q0 - 1) / (q0 + q1 - 1)))
    # Adjusted counts, for the interval only: z² pseudo-units of the judged, two of each kind of checked ones.
    z = quantile(level)
    n, m1, m0 = judged + z * z, good_checked + 2, bad_checked + 2
    p, q1, q0 = (judged_good + z * z / 2) / n, (good_confirmed + 1) / m1, (bad_confirmed + 1) / m0
    power = q0 + q1 - 1
    if power <= 0:
        return Estimate(
            value=value, level=level, n=judged, method=method, undefined="too few checked to tell the judge from chance"
        )
    centre = (p + q0 - 1) / power
    of_good, of_bad = q1 * (1 - q1) / m1, q0 * (1 - q0) / m0
    shift = 2 * z * z * (centre * of_good - (1 - centre) * of_bad)
    se = math.sqrt(p * (1 - p) / n + (1 - centre) ** 2 * of_bad + centre**2 * of_good) / power
    low, high = (min(1.0, max(0.0, centre + shift + side * z * se)) for side in (-1, 1))
    # The point is the estimator itself; in small samples it can lie beyond the adjusted interval.
    low, high = min(low, value), max(high, value)
    return Estimate(value=value, low=low, high=high, level=level, n=judged, se=se, method=method)


def ppi_mean(labels: ArrayLike, judged: ArrayLike, judged_only: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the mean label of a population, from labels and judgements of some units and judgements of more.

    `labels` and `judged`, shape (n,), belong to the same units; `judged_only`, shape (N,), to others of the population.
    The weight of the judge is chosen by how well it follows the labels: a useless one gets none. `n` counts the labels.
    """
    y, f, more = floats(labels, "labels"), floats(judged, "judged"), floats(judged_only, "judged_only")
    if y.size != f.size:
        raise BadInput(f"{y.size} labels for {f.size} judgements.", where="judged", todo="Pair them by unit.")
    if y.size < 3:
        return undefined("fewer than three labels", y.size, level=level, method="PPI++")
    n, extra = y.size, more.size
    spread = float(np.concatenate([f, more]).var(ddof=1)) if extra else 0.0
    weight = float(np.cov(y, f)[0, 1]) / ((1 + n / extra) * spread) if spread else 0.0
    weight = min(1.0, max(0.0, weight))
    rest = y - weight * f
    value = float(rest.mean()) + (weight * float(more.mean()) if extra else 0.0)
    # The weight was fitted to the same labels, which takes a second degree of freedom.
    variance = float(rest.var(ddof=2)) / n + (weight**2 * spread / extra if extra else 0.0)
    if variance <= 0:
        return Estimate(value=value, level=level, n=n, method="PPI++", undefined="no spread to judge by")
    return normal(value, math.sqrt(variance), n, level=level, method="PPI++", df=n - 2)
