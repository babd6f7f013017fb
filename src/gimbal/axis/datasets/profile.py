"""Profiles a column of a table: counts, moments, quantiles and frequent values, each exact and of this column alone.

One column at a time is in memory, so that a wide snapshot costs no more than its widest column.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from gimbal.axis.datasets.model import QUANTILES, CategoryCount, ColumnProfile

pc: Any = pyarrow.compute  # its functions are made when it is imported, which a checker cannot see
_TOP = 10
_LONGEST = 100
# Integers with this many different values or fewer are codes as often as quantities: both views are given.
_FEW = 50


def profile_column(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    """Return the profile of one column of any Arrow type."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return _categories(name, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(name, column)
    if pa.types.is_temporal(kind):
        return _times(name, column)
    if pa.types.is_string(kind):
        return _categories(name, column)
    count = len(column) - column.null_count
    return ColumnProfile(name=name, count=count, missing=column.null_count, distinct=None if count else 0)


def _numbers(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    present = column.drop_null()
    values: npt.NDArray[np.float64] = np.asarray(present.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    is_nan = np.isnan(values)
    infinite = int(np.isinf(values).sum())
    finite = values[np.isfinite(values)]
    distinct = int(pc.count_distinct(present, mode="only_valid").as_py()) - bool(is_nan.any())
    plain: dict[str, Any] = {}
    if finite.size:
        # Shifted by the first value, so that large offsets (years, epoch times) do not eat the variance.
        points = np.quantile(finite, QUANTILES)
        plain = {
            "min": float(finite.min()),
            "max": float(finite.max()),
            "mean": float(finite[0] + (finite - finite[0]).mean()),
            "std": float((finite - finite[0]).std(ddof=1)) if finite.size > 1 else None,
            "quantiles": {f"{q:g}": float(p) for q, p in zip(QUANTILES, points, strict=True)},
        }
    is_code = pa.types.is_integer(column.type) and distinct <= _FEW
    return ColumnProfile(
        name=name,
        count=int(values.size - is_nan.sum()),
        missing=int(column.null_count + is_nan.sum()),
        distinct=distinct,
        infinite=infinite,
        top=_top(present) if is_code else [],
        **plain,
    )


def _categories(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    present = column.drop_null()
    return ColumnProfile(
        name=name,
        count=len(present),
        missing=column.null_count,
        distinct=int(pc.count_distinct(present).as_py()),
        top=_top(present),
    )


def _times(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    present = column.drop_null()
    ends: dict[str, Any] = {}
    if len(present):
        # Spans of time have no order of their own there; their counts have.
        spans = pa.types.is_duration(column.type)
        ordered = pc.min_max(present.cast(pa.int64()) if spans else present)
        ends = {end: _text(ordered[end].cast(column.type).as_py()) for end in ("min", "max")}
    return ColumnProfile(
        name=name,
        count=len(present),
        missing=column.null_count,
        distinct=int(pc.count_distinct(present).as_py()),
        **ends,
    )


def _top(present: pa.ChunkedArray) -> list[CategoryCount]:
    counts = pc.value_counts(present)
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    # Ties by value: the same data gives the same profile whatever the order of its rows.
    ranked = sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))[:_TOP]
    return [CategoryCount(value=_text(value)[:_LONGEST], count=count) for value, count in ranked]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    moment: Any = getattr(value, "isoformat", None)
    return moment() if moment else str(value)
