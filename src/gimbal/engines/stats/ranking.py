"""How well probabilities rank and fit binary labels: AUC with DeLong's variance, log loss, Brier, calibration gap.

Sources: DeLong et al. 1988; Sun and Xu 2014 (the O(n log n) form by mid-ranks).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gimbal.engines.stats.distributions import Floats, logistic, normal_tail, ranks
from gimbal.engines.stats.estimates import binary, floats, normal, quantile, robust_mean, undefined
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput

_CLIP = 1e-15


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Return labels of 0 and 1 and finite scores as arrays of one length; raise BadInput otherwise."""
    y = binary(labels)
    p = floats(probabilities, "probabilities")
    if y.shape != p.shape:
        raise BadInput(f"{y.size} labels for {p.size} probabilities.", where="labels", todo="Pair them by row.")
    return y, p


def _checked_probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    y, p = checked(labels, probabilities)
    if p.size and (p.min() < 0 or p.max() > 1):
        raise BadInput("Not all probabilities lie within 0 and 1.", where="probabilities", todo="Give probabilities.")
    return y, p


def _placements(y: NDArray[np.bool_], p: Floats) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, and for each negative that of positives above it."""
    positive, negative = p[y], p[~y]
    m, n = positive.size, negative.size
    placed = ranks(np.concatenate([positive, negative]))
    v10 = (placed[:m] - ranks(positive)) / n
    v01 = 1 - (placed[m:] - ranks(negative)) / m
    return v10, v01


def _delong(of_positives: Floats, of_negatives: Floats) -> tuple[float, float]:
    """Return the standard error of a mean placement and its degrees of freedom (Welch–Satterthwaite)."""
    first = float(of_positives.var(ddof=1)) / of_positives.size
    second = float(of_negatives.var(ddof=1)) / of_negatives.size
    both = first + second
    if both <= 0:
        return 0.0, math.inf
    share = first / both
    df = 1 / (share**2 / (of_positives.size - 1) + (1 - share) ** 2 / (of_negatives.size - 1))
    return math.sqrt(both), df


def auc(labels: ArrayLike, probabilities: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the area under the ROC curve; undefined when a class is missing, never 0.5.

    The interval is DeLong's on the logit scale, so it stays within 0 and 1.
    """
    y, p = checked(labels, probabilities)
    if y.all() or not y.any():
        return undefined("only one class is there" if y.size else "no values", y.size, level=level, method="DeLong")
    v10, v01 = _placements(y, p)
    value = float(v10.mean())
    if v10.size < 2 or v01.size < 2:
        return undefined("a class has one row only", y.size, level=level, method="DeLong")
    se, df = _delong(v10, v01)
    if not 0 < value < 1 or se == 0:
        return _without_spread(value, min(v10.size, v01.size), y.size, level)
    z = quantile(level, df) * se / (value * (1 - value))
    logit = math.log(value / (1 - value))
    low, high = logistic(logit - z), logistic(logit + z)
    return Estimate(value=value, low=low, high=high, level=level, n=y.size, se=se, method="DeLong")


def _without_spread(value: float, rows: int, n: int, level: float) -> Estimate:
    """Return the interval when every row of a class is placed alike: of `rows` none was seen that is not.

    Their share is at most 1 − ((1 − level)/2)^(1/rows) (Clopper–Pearson), and each moves the AUC by at most 1/rows.
    """
    rare = 1 - ((1 - level) / 2) ** (1 / rows)
    low, high = value - rare * value, value + rare * (1 - value)
    method = "DeLong has no spread, unseen rows allowed for"
    return Estimate(value=value, low=low, high=high, level=level, n=n, se=(high - low) / 4, method=method)


def auc_difference(labels: ArrayLike, before: ArrayLike, after: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return AUC(after) − AUC(before) on the same rows, with DeLong's covariance."""
    y, a = checked(labels, before)
    _, b = checked(labels, after)
    if y.sum() < 2 or (~y).sum() < 2:
        return undefined("a class has fewer than two rows", y.size, level=level, method="paired DeLong")
    a10, a01 = _placements(y, a)
    b10, b01 = _placements(y, b)
    d10, d01 = b10 - a10, b01 - a01
    se, df = _delong(d10, d01)
    value = float(d10.mean())
    if se > 1e-12:
        return normal(value, se, y.size, level=level, method="paired DeLong", df=df)
    # Both models rank alike: as many rows of either class as could have gone unseen may be placed otherwise.
    half = 1 - ((1 - level) / 2) ** (1 / min(d10.size, d01.size))
    low, high = max(-1.0, value - half), min(1.0, value + half)
    method = "paired DeLong has no spread, unseen rows allowed for"
    return Estimate(value=value, low=low, high=high, level=level, n=y.size, se=half / 2, method=method)


def independent_difference(before: Estimate, after: Estimate, *, level: float = 0.95) -> Estimate:
    """Return after − before of two estimates that rest on different rows."""
    if before.value is None or after.value is None or before.se is None or after.se is None:
        return undefined(after.undefined or before.undefined or "no standard error", after.n, level=level)
    se = math.hypot(before.se, after.se)
    return normal(after.value - before.value, se, after.n, level=level, method="independent z")


def two_sided_p(difference: Estimate) -> float | None:
    """Return the two-sided normal p-value of no difference."""
    if difference.value is None or not difference.se:
        return None
    return 2 * normal_tail(abs(difference.value) / difference.se)


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Return the log loss of each row in nats; probabilities are kept 1e-15 away from 0 and 1."""
    y, p = _checked_probabilities(labels, probabilities)
    p = np.clip(p, _CLIP, 1 - _CLIP)
    return -np.where(y, np.log(p), np.log1p(-p))


def brier_scores(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Return the squared error of each row."""
    y, p = _checked_probabilities(labels, probabilities)
    return (p - y) ** 2


def calibration_gap(labels: ArrayLike, probabilities: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the share that came true minus the mean probability: positive when the model says too little."""
    y, p = _checked_probabilities(labels, probabilities)
    return robust_mean(y - p, np.arange(y.size), level=level, bounds=(-1.0, 1.0))
