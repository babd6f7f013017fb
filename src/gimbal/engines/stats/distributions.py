"""Quantiles and tails of the distributions that intervals and tests stand on, and ranks.

`scipy.special` has the numerics. It is loaded by who asks first: at the start of every process it would take a third of a
second and 30 MB, and `scipy.stats`, which has the same as objects, more than a second and 80 MB.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NORMAL = NormalDist()


def normal_quantile(share: float) -> float:
    """Return the value below which this share of a standard normal variable lies; 0 < share < 1."""
    return _NORMAL.inv_cdf(share)


def normal_tail(z: float) -> float:
    """Return the share of a standard normal variable above z, exact far out as well."""
    return math.erfc(z / math.sqrt(2)) / 2


def t_quantile(share: float, df: float) -> float:
    """Return the value below which this share of Student's t with `df` degrees of freedom lies; infinite: normal."""
    if math.isinf(df):
        return normal_quantile(share)
    from scipy import special

    return float(special.stdtrit(df, share))


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the value below which this share of a Beta(a, b) variable lies."""
    from scipy import special

    return float(special.betaincinv(a, b, share))


def chi2_tail(value: float, df: float) -> float:
    """Return the share of a χ² variable with `df` degrees of freedom above a value."""
    from scipy import special

    return float(special.chdtrc(df, value))


def sign_test(wins: int, n: int) -> float:
    """Return the exact two-sided p-value of so many wins of n, when each of both ends is equally likely."""
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(min(wins, n - wins), n, 0.5)))


def log_beta(a: float, b: float) -> float:
    """Return log B(a, b); a, b > 0."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def logistic(value: float) -> float:
    """Return 1 / (1 + e^-value), for any size of the value."""
    return (1 + math.tanh(value / 2)) / 2


def ranks(values: Floats) -> Floats:
    """Return the rank of each value from 1 on; equal ones share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
