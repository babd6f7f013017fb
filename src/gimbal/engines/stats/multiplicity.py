"""Many questions at once: p-values adjusted so that the chance of false alarms is what was promised.

Sources: Holm 1979; Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001; Wang and Ramdas, arXiv 2009.02824 (e-BH).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gimbal.kernel.errors import BadInput


def _checked(p_values: Sequence[float]) -> NDArray[np.float64]:
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise BadInput("Not all p-values lie within 0 and 1.", where="p_values", todo="Leave undefined ones out.")
    return p


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values adjusted for any false alarm among all (family-wise), valid under any dependence."""
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float], *, any_dependence: bool = False) -> NDArray[np.float64]:
    """Return p-values adjusted for the share of false alarms; `any_dependence` gives Benjamini–Yekutieli."""
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    factor = float((1 / np.arange(1, p.size + 1)).sum()) if any_dependence else 1.0
    raised = p[order] * p.size * factor / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1)
    return adjusted


def e_bh(e_values: Sequence[float], *, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Return which hypotheses e-BH rejects: the share of false alarms is at most alpha under any dependence."""
    e = np.asarray(e_values, np.float64)
    order = np.argsort(-e, kind="stable")
    enough = e[order] >= e.size / (alpha * np.arange(1, e.size + 1))
    rejected = np.zeros(e.size, dtype=bool)
    if enough.any():
        rejected[order[: int(np.flatnonzero(enough)[-1]) + 1]] = True
    return rejected
