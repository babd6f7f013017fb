"""Sums and percentiles over spans: how many, how much, how slow, by dimension and time.

The newest version of each span counts once, a call counts once whichever spans report it, and a span that stands for
others counts for them. Unknown stays unknown: it is no group's zero.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.traces import measures
from gimbal.axis.traces.dimensions import Plan, check_choice, plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.model import Aggregate, Group
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

MOST_GROUPS, MOST_ROWS = 1000, 10_000
_US: dict[str, int] = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
_ORDERS: dict[str, str] = {
    "spans": "spans", "traces": "traces", "calls": "calls", "errors": "errors", "error_rate": "errors / spans",
    "cost": "if(priced > 0, ifNull(toFloat64(exact), 0) + ifNull(weighted, 0), NULL)",
    "wasted": "ifNull(toFloat64(wasted_exact), 0) + ifNull(wasted_weighted, 0)", "tokens": "input_tokens + output_tokens", "latency": "latencies[2]",
}  # fmt: skip


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    by: tuple[str, ...] = ()
    """Up to two dimensions."""
    every: str | None = None
    order: str = "spans"
    limit: int = 50
    narrowed: TraceFilter = TraceFilter()
    roots: bool = False
    """Only spans without a parent."""
    parts: bool = False
    """Whether the cost is told by token class, too."""


async def aggregate(ctx: Context, question: Question) -> Aggregate:
    """Return what a project's spans come to; raise BadInput, or DeadlineExceeded when it takes too long."""
    if not 1 <= question.limit <= MOST_GROUPS:
        raise BadInput(f"There cannot be {question.limit} groups.", where="limit", todo=f"Ask for 1 to {MOST_GROUPS}.")
    check_choice("order", question.order, _ORDERS)
    if question.every is not None:
        check_choice("every", question.every, _US)
    asked = plan(ctx.project or "default", question.by, question.narrowed, roots=question.roots)
    columns = ctx.get(Columns)
    state = (await columns.query(asked.state(), asked.values))[0]
    more = {"cached": bool(state["cached"]), "parts": question.parts}
    asked = asked.over(state, measured=measures.columns(**more))
    sums = measures.sums(weighted=state["weighted"], **more)
    if not question.by:
        return await _without_dimensions(columns, asked, sums, question)
    keys = [f"k{place}" for place in range(len(question.by))]
    every = question.every
    ranked = f"ORDER BY isNull({_ORDERS[question.order]}), {_ORDERS[question.order]} DESC, {', '.join(keys)}"
    # Where the groups are parted by time they are only put in order here: what is not read is not summed up.
    shown = "*" if every is None else ", ".join(keys)
    top = await columns.query(
        f"{asked.head()} SELECT {shown} FROM (SELECT {', '.join(keys)}, {sums} FROM ({asked.spans()}) AS s "
        f"GROUP BY {', '.join(keys)}) {ranked} LIMIT {{most:UInt32}}{measures.LIMITED}",
        {**asked.values, "most": question.limit + 1},
    )
    more, top = len(top) > question.limit, top[: question.limit]
    if every is None and not more:
        return Aggregate(groups=[_group(row, keys) for row in top], more=False, other=[])
    rows = await _with_rest(columns, asked, sums, keys, top, every)
    rest = [_group(row, ()) for row in rows if row["rest"]]
    if every is None:
        return Aggregate(groups=[_group(row, keys) for row in top], more=more, other=rest)
    places = {tuple(row[key] for key in keys): place for place, row in enumerate(top)}
    found = [row for row in rows if not row["rest"]]
    found.sort(key=lambda row: (row["start"], places[tuple(row[key] for key in keys)]))
    return Aggregate(groups=[_group(row, keys) for row in found], more=more, other=rest)


async def _without_dimensions(columns: Columns, asked: Plan, sums: str, question: Question) -> Aggregate:
    start = _start(question.every)
    rows = await columns.query(
        f"{asked.head()} SELECT {start} AS start, {sums} FROM ({asked.spans()}) AS s GROUP BY start ORDER BY start "
        f"LIMIT {MOST_ROWS + 1}{measures.LIMITED}",
        asked.values,
    )
    _check_rows(rows)
    return Aggregate(groups=[_group(row, ()) for row in rows], more=False, other=[])


async def _with_rest(
    columns: Columns, asked: Plan, sums: str, keys: Sequence[str], top: Sequence[dict[str, Any]], every: str | None
) -> list[dict[str, Any]]:
    """Return the sums of the groups `top` and of all others, by time."""
    names = {f"top{place}": [row[key] for row in top] for place, key in enumerate(keys)}
    lists = ", ".join(f"{{{name}:Array(String)}} AS {name}" for name in names)
    inside = (
        f"({', '.join(keys)}) NOT IN (SELECT {', '.join(names)} FROM (SELECT {lists}) ARRAY JOIN {', '.join(names)})"
    )
    shown = ", ".join(f"if(rest, '', {key}) AS {key}" for key in keys)
    # The groups of the top have their sums already where there is no time to part them by.
    only = "WHERE rest" if every is None else ""
    rows = await columns.query(
        f"{asked.head()} SELECT rest, {', '.join(keys)}, {_start(every)} AS start, {sums} FROM ("
        f"SELECT * REPLACE({shown}) FROM (SELECT *, {inside} AS rest FROM ({asked.spans()})) {only}) AS s "
        f"GROUP BY rest, {', '.join(keys)}, start ORDER BY start LIMIT {MOST_ROWS + 1}{measures.LIMITED}",
        {**asked.values, **names},
    )
    _check_rows(rows)
    return rows


def _start(every: str | None) -> str:
    return "NULL" if every is None else f"s.start_us - positiveModulo(s.start_us, {_US[every]})"


def _check_rows(rows: Sequence[dict[str, Any]]) -> None:
    if len(rows) > MOST_ROWS:
        raise BadInput(
            f"The answer would have more than {MOST_ROWS:,} rows.",
            where="every",
            todo="Take a larger stretch of time, a shorter range, or fewer groups.",
        )


def _group(row: dict[str, Any], keys: Sequence[str]) -> Group:
    return Group(
        group=[row[key] or None for key in keys],
        start=None if row.get("start") is None else from_us(row["start"]),
        **measures.read(row),
    )
