"""What is measured over a group of spans, as the columns compute it and as it is told."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from gimbal.axis.traces.counting import IS_CALL, WASTED
from gimbal.axis.traces.model import Group
from gimbal.kernel.clock import from_us

_T = TypeVar("_T")
MOST_SECONDS = 20
LIMITED = f" SETTINGS max_execution_time = {MOST_SECONDS}"
# A little below, so that a level that falls on a value of the order means that one, whatever the arithmetic leaves.
_LEVELS = f"({', '.join(f'{level} - 1e-9' for level in (0.5, 0.95, 0.99))})"
_LATENCY, _FIRST_TOKEN = "s.end_us - s.start_us", "assumeNotNull(s.first_token_us)"
_TOLD_LEVELS = ("p50", "p95", "p99")
_STREAMED = "isNotNull(s.first_token_us)"
# Weights are whole numbers here; a thousandth is fine enough.
_SHARE = "toUInt64(round(s.weight * 1000))"
_PRICED, _ANSWERED = "s.billable = 1 AND isNotNull(s.cost)", "s.billable = 1 AND s.cached = 1"
_UNPRICED, _IN_VAIN = "s.billable = 1 AND s.unpriced != ''", f"{WASTED} AND s.cost > 0"
_TOLD = "s.billable = 1 AND notEmpty(s.parts)"
_FLOATS = "mapApply((name, part) -> (name, toFloat64(part) * s.weight), s.parts)"
_AMOUNTS = {"": ("s.cost", "s.billable = 1"), "wasted_": ("s.cost", WASTED), "saved_": ("s.saved", "s.billable = 1"),
            "told_": ("s.cost", _TOLD)}  # fmt: skip
_ORDERS: dict[str, str] = {
    "spans": "spans", "traces": "traces", "calls": "calls", "errors": "errors", "error_rate": "errors / spans",
    "cost": "if(priced > 0, {cost}, NULL)", "wasted": "{wasted}", "tokens": "input_tokens + output_tokens",
    "latency": "latencies[2]",
}  # fmt: skip
ORDERS = tuple(_ORDERS)
"""What groups are put in order by."""


class Measure(NamedTuple):
    """One function over the spans `s` of a group; as a state it can be put together with those of other groups."""

    name: str
    function: str
    arguments: str
    levels: str = ""
    told: str = "{}"
    """What is made of the result."""

    @property
    def at_once(self) -> str:
        """The expression where nothing is put together."""
        return f"{self.told.format(f'{self.function}{self.levels}({self.arguments})')} AS {self.name}"

    @property
    def state(self) -> str:
        """The expression of the state."""
        return f"{self.function}State{self.levels}({self.arguments}) AS {self.name}_state"

    @property
    def merged(self) -> str:
        """The expression over the states of several groups."""
        return f"{self.told.format(f'{self.function}Merge{self.levels}({self.name}_state)')} AS {self.name}"

    @property
    def ended(self) -> str:
        """The expression over the state of one group."""
        return f"{self.told.format(f'finalizeAggregation({self.name}_state)')} AS {self.name}"


def sums(*, weighted: bool, cached: bool, parts: bool) -> tuple[Measure, ...]:
    """Return all measures; `weighted` where some spans stand for others.

    `cached` where an application's cache answered some, `parts` where the cost by class is asked for.
    """
    amounts = ["", "wasted_", *(["saved_"] if cached else []), *(["told_"] if parts else [])]
    return (
        *(_for_others(cached=cached, parts=parts) if weighted else _for_themselves(cached=cached, parts=parts)),
        *(one for of in amounts for one in _amount(of, weighted=weighted)),
        Measure("streamed", "count", "s.first_token_us"),
    )


def _for_themselves(*, cached: bool, parts: bool) -> tuple[Measure, ...]:
    """Return the measures of spans whose weights are all 1."""
    conditions = _conditions(cached=cached)
    return (
        Measure("spans", "count", ""),
        *(Measure(name, "countIf", condition) for name, condition in conditions),
        *(Measure(name, "sumIf", f"s.{name}, s.billable = 1") for name in ("input_tokens", "output_tokens")),
        Measure("traces", "uniqExact", "s.trace"),
        Measure("latencies", "quantilesExact", _LATENCY, _LEVELS),
        Measure("first_tokens", "quantilesExactIf", f"{_FIRST_TOKEN}, {_STREAMED}", _LEVELS),
        *([Measure("parts_exact", "sumMapIf", f"s.parts, {_TOLD}")] if parts else []),
    )


def _for_others(*, cached: bool, parts: bool) -> tuple[Measure, ...]:
    """Return the measures of spans that stand for as many as their weights say."""
    conditions = _conditions(cached=cached)
    of_parts = (
        Measure("parts_exact", "sumMapIf", f"s.parts, {_TOLD} AND s.weight = 1"),
        Measure("parts_weighted", "sumMapIf", f"{_FLOATS}, {_TOLD} AND s.weight != 1"),
    )
    return (
        Measure("spans", "sum", "s.weight"),
        *(Measure(name, "sumIf", f"s.weight, {condition}") for name, condition in conditions),
        *(Measure(name, "sumIf", f"s.{name} * s.weight, s.billable = 1") for name in ("input_tokens", "output_tokens")),
        # A trace counts as the span of it that was likeliest to be kept.
        Measure("traces", "minMap", "[s.trace], [s.weight]", told="arraySum({}.2)"),
        Measure("latencies", "quantilesExactWeighted", f"{_LATENCY}, {_SHARE}", _LEVELS),
        Measure("first_tokens", "quantilesExactWeightedIf", f"{_FIRST_TOKEN}, {_SHARE}, {_STREAMED}", _LEVELS),
        *(of_parts if parts else ()),
    )


def _conditions(*, cached: bool) -> list[tuple[str, str]]:
    return [
        ("errors", "s.status = 'error'"), ("calls", IS_CALL), ("priced", _PRICED), ("unpriced", _UNPRICED),
        ("wasted_calls", _IN_VAIN), *([("cached_calls", _ANSWERED)] if cached else []),
    ]  # fmt: skip


def _amount(of: str, *, weighted: bool) -> list[Measure]:
    """Return the exact sum of what stands for itself, and the estimate of what stands for others."""
    amount, condition = _AMOUNTS[of]
    if not weighted:
        return [Measure(f"{of}exact", "sumIf", f"{amount}, {condition}")]
    return [
        Measure(f"{of}exact", "sumIf", f"{amount}, {condition} AND s.weight = 1"),
        Measure(f"{of}weighted", "sumIf", f"toFloat64({amount}) * s.weight, {condition} AND s.weight != 1"),
    ]


def ordered(order: str, *, weighted: bool) -> str:
    """Return the expression over measures that groups are put in order by; the most first, what is unknown last."""
    amounts = {
        name: f"ifNull(toFloat64({of}exact), 0)" + (f" + ifNull({of}weighted, 0)" if weighted else "")
        for name, of in (("cost", ""), ("wasted", "wasted_"))
    }
    return _ORDERS[order].format(**amounts)


def columns(*, cached: bool, parts: bool) -> tuple[str, ...]:
    """Return what those read that are not always measured."""
    return (*(("cached", "saved") if cached else ()), *(("parts",) if parts else ()))


def groups(table: pa.Table, keys: Sequence[str]) -> list[Group]:
    """Return the groups of a table of `sums`, column by column: an answer may have thousands of rows."""
    found = dict(zip(table.column_names, table.columns, strict=True))
    size = table.num_rows
    counts = {name: _counts(found[name]) for name in ("spans", "traces", "calls", "errors", "priced", "unpriced")}
    in_vain, cached = (
        _counts(found["wasted_calls"]),
        _counts(found["cached_calls"]) if "cached_calls" in found else None,
    )
    keyed = zip(*([value or None for value in found[key].to_pylist()] for key in keys), strict=True)
    latencies, first_tokens = _levels(found["latencies"]), _levels(found["first_tokens"])
    streamed = found["streamed"].to_pylist()
    told: dict[str, Sequence[Any]] = {
        "group": [list(one) for one in keyed] if keys else [[] for _ in range(size)],
        "start": _starts(found["start"].to_pylist()) if "start" in found else [None] * size,
        **counts,
        "error_rate": [part / whole for part, whole in zip(*_plain(found, "errors", "spans"), strict=True)],
        "cost": _known(_amounts(found, ""), found["priced"].to_pylist()),
        "wasted": _known(_amounts(found, "wasted_"), found["wasted_calls"].to_pylist()),
        "wasted_calls": in_vain,
        "saved": _saved(found) if cached is not None else [None] * size,
        "cached_calls": [0] * size if cached is None else cached,
        "parts": _parts(found) if "parts_exact" in found else [None] * size,
        "input_tokens": _counts(found["input_tokens"]),
        "output_tokens": _counts(found["output_tokens"]),
        **{f"{name}_ms": ms for name, ms in zip(_TOLD_LEVELS, latencies, strict=True)},
        **{f"first_token_{name}_ms": _known(ms, streamed) for name, ms in zip(_TOLD_LEVELS, first_tokens, strict=True)},
    }
    return [Group(**dict(zip(told, row, strict=True))) for row in zip(*told.values(), strict=True)]


def _plain(found: dict[str, pa.ChunkedArray], *names: str) -> list[list[Any]]:
    return [found[name].to_pylist() for name in names]


def _counts(column: pa.ChunkedArray) -> list[Any]:
    values = column.to_pylist()
    return values if pa.types.is_integer(column.type) else [None if one is None else round(one) for one in values]


def _known(values: Sequence[_T], known: Sequence[Any]) -> list[_T | None]:
    """Return the values, and None where nothing is known."""
    return [value if is_known else None for value, is_known in zip(values, known, strict=True)]


def _starts(us: Sequence[int | None]) -> list[datetime | None]:
    """Return the moments; most come again in other groups."""
    moments = {one: None if one is None else from_us(one) for one in set(us)}
    return [moments[one] for one in us]


def _levels(column: pa.ChunkedArray) -> list[list[float]]:
    """Return the milliseconds of each level."""
    return (np.array(column.combine_chunks().flatten()).reshape(-1, len(_TOLD_LEVELS)).T / 1000).tolist()


def _amounts(found: dict[str, pa.ChunkedArray], of: str) -> list[Decimal]:
    """Return the exact sums of what stands for itself, and the estimate of what stands for others."""
    exact = found[f"{of}exact"].to_pylist()
    weighted = found.get(f"{of}weighted")
    return list(map(_together, exact, [None] * len(exact) if weighted is None else weighted.to_pylist()))


def _saved(found: dict[str, pa.ChunkedArray]) -> list[Decimal | None]:
    none = pa.nulls(len(found["saved_exact"]))
    known = zip(found["saved_exact"].to_pylist(), found.get("saved_weighted", none).to_pylist(), strict=True)
    return _known(_amounts(found, "saved_"), [one != (None, None) for one in known])


def _together(exact: Decimal | None, weighted: float | None) -> Decimal:
    amount = exact or Decimal(0)
    return (amount + round(Decimal(weighted), 12) if weighted else amount).normalize() + 0


def _parts(found: dict[str, pa.ChunkedArray]) -> list[dict[str, Decimal]]:
    """Return the cost by class of the calls that tell it; the input is the rest of theirs."""
    exact = [dict(one) for one in found["parts_exact"].to_pylist()]
    weighted = (
        [dict(one) for one in found["parts_weighted"].to_pylist()] if "parts_weighted" in found else [{}] * len(exact)
    )
    return list(map(_classes, exact, weighted, _amounts(found, "told_")))


def _classes(exact: dict[str, Decimal], weighted: dict[str, float], told: Decimal) -> dict[str, Decimal]:
    found = {name: _together(exact.get(name), weighted.get(name)) for name in sorted({*exact, *weighted} - {"input"})}
    return {"input": told - sum(found.values(), Decimal(0)), **found} if exact or weighted else {}
