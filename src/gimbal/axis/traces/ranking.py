"""Lists of traces by what their spans come to: sorted by duration, cost or tokens, or narrowed by cost or tokens.

Every trace of the stretch of time has to be summed up first, so this reads more than the plain list does. A cursor holds
the moment at which its first page was asked for: traces that begin later belong to no page.
"""

from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces.dimensions import Plan, check_choice, plan
from gimbal.axis.traces.filters import TraceFilter, near, of_any_span, of_head
from gimbal.axis.traces.measures import LIMITED
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor

# Traces whose cost or tokens are unknown come behind those that have none.
_VALUES: dict[str, str] = {
    "start": "toDecimal128(start_us, 12)",
    "duration": "toDecimal128(end_us - start_us, 12)",
    "cost": "ifNull(toDecimal128(paid, 12), toDecimal128(-1, 12))",
    "tokens": "toDecimal128(ifNull(tokens, -1), 12)",
}
_MOST = 10**25
_HEAD = ("start_us", "end_us", "kind", "name", "status")
# A caller's own root stands before the head of another process's part of the trace.
_FIRST = "tuple(s.parent_id != '', s.start_us, s.span_id)"
_SUMMED = ("is_root", "parent_id", "span_id", "input_tokens", "output_tokens", "billable", "cost", "unpriced", *_HEAD)
_SIZES = (
    ("min_cost", "paid >= toDecimal128({}, 12)", "String"),
    ("max_cost", "paid <= toDecimal128({}, 12)", "String"),
    ("min_tokens", "tokens >= {}", "Int64"),
    ("max_tokens", "tokens <= {}", "Int64"),
)


async def page(
    ctx: Context, narrowed: TraceFilter, sort: str, *, cursor: str | None = None, limit: int = 50
) -> Page[TraceSummary]:
    """Return the traces with the most of something; each is on one page only. Raise BadInput, DeadlineExceeded."""
    check_limit(limit)
    check_choice("sort", sort, _VALUES)
    moment = cursor_number(cursor, "until") if cursor else to_us(ctx.get(Clock).now())
    bounded = narrowed
    if sort != "start":
        until = moment if narrowed.until_us is None else min(moment, narrowed.until_us)
        bounded = msgspec.structs.replace(narrowed, until_us=until)
    asked = await matching(ctx, bounded)
    behind, values = "", dict(asked.values)
    if cursor:
        behind = "AND (value, trace_id) < (toDecimal128({value:String}, 12), {id:String}) "
        values |= {"value": _value(cursor), "id": cursor_text(cursor, "id")}
    rows = await ctx.get(Columns).query(
        f"{asked.head} SELECT trace_id, {_VALUES[sort]} AS value {asked.source} {behind}"
        f"ORDER BY value DESC, trace_id DESC LIMIT {{most:UInt32}}{LIMITED}",
        {**values, "most": limit + 1},
    )
    shown = rows[:limit]
    found = await ctx.get(Traces).summaries(ctx, [row["trace_id"] for row in shown])
    following = None
    if len(rows) > limit:
        following = encode_cursor({"value": f"{shown[-1]['value']:f}", "id": shown[-1]["trace_id"], "until": moment})
    return Page(items=[found[row["trace_id"]] for row in shown if row["trace_id"] in found], next=following)


class Matching(NamedTuple):
    """The traces that fit a filter, as parts of a statement."""

    head: str
    """What stands before SELECT."""
    source: str
    """FROM and WHERE: rows of `trace_id`, the head's columns, `paid`, `tokens`, `errors`, `unknown` and `least`."""
    values: dict[str, Any]


async def matching(ctx: Context, narrowed: TraceFilter) -> Matching:
    """Return how to read the traces that fit, each summed up."""
    project = ctx.project or "default"
    reading, values, newest = await _plan(ctx, project, narrowed)
    if narrowed.until_us is not None and newest < narrowed.until_us:
        # Nothing begins later, so no head needs to be looked for.
        narrowed = msgspec.structs.replace(narrowed, until_us=None)
    conditions, more_values = _conditions(narrowed)
    wanted = of_any_span(narrowed)
    reads = sorted({*_SUMMED, "trace_id", "weight", *(name for one in wanted for name in one.reads)})
    fits = [f"countIf({one.sql}) > 0" for one in wanted]
    values |= more_values | {name: value for one in wanted for name, value in one.values.items()}
    once = reading.once()
    # Each by itself: what a question does not read is not summed up either.
    head = ", ".join(f"argMinIf(s.{name}, {_FIRST}, s.is_root = 1) AS {name}" for name in _HEAD)
    source = (
        f"FROM (SELECT any(s.trace_id) AS trace_id, {head}, "
        f"sumIf(s.cost, {once}) AS paid, sumIf(s.input_tokens + s.output_tokens, {once}) AS tokens, "
        f"countIf({once} AND s.unpriced != '') AS unknown, min(s.weight) AS least, "
        f"countIf(s.status = 'error') AS errors, {' AND '.join(fits) or '1'} AS fits "
        f"FROM ({reading.newest(', '.join(reads), reading.within)}) AS s WHERE s.weight > 0 GROUP BY cityHash64(s.trace_id)) "
        f"WHERE {' AND '.join(['fits', *conditions])}"
    )
    return Matching(reading.head(), source, values)


async def _plan(ctx: Context, project: str, narrowed: TraceFilter) -> tuple[Plan, dict[str, Any], int]:
    """Return how to read the spans of traces that begin in the stretch of time, and when the newest of them does."""
    nearby, values = near(narrowed)
    within = " AND ".join(["project = {project:String}", *nearby])
    if narrowed.among:
        within += " AND trace_id IN {among:Array(String)}"
        values["among"] = list(narrowed.among)
    found = msgspec.structs.replace(plan(project, (), TraceFilter(), roots=False), within=within, around=within)
    values |= {"project": project}
    state = (await ctx.get(Columns).query(found.state(), values))[0]
    return found.over(state), values, state["newest"]


def _conditions(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return what the head and the sums of a trace fulfil."""
    conditions, values = of_head(narrowed)
    for name, sql, kind in _SIZES:
        value = getattr(narrowed, name)
        if value is not None:
            conditions.append(sql.format(f"{{{name}:{kind}}}"))
            values[name] = f"{value:f}" if kind == "String" else value
    if narrowed.status == "error":
        conditions.append("errors > 0")
    elif narrowed.status:
        conditions.append("errors = 0 AND status = {status:String}")
        values["status"] = narrowed.status
    return conditions, values


def _value(cursor: str) -> str:
    text = cursor_text(cursor, "value")
    try:
        if Decimal(text).is_finite() and abs(Decimal(text)) < _MOST:
            return f"{Decimal(text):f}"
    except InvalidOperation:
        pass
    raise BadInput(
        "The cursor was not made by this list.", where="cursor", todo="Use `next` of the page before, unchanged."
    )
