"""What the traces of a list come to: how many, how many failed, cost and time, and when they were.

The same conditions as those of the list, over whole traces: what is counted here is what can be leafed through there.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces import ranking
from gimbal.axis.traces.filters import TraceFilter, of_head
from gimbal.axis.traces.measures import LIMITED
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock, from_us, to_us
from gimbal.kernel.context import Context

_MOST_BARS = 60
_S = 1_000_000
# Stretches that people count in.
_STEPS = tuple(
    seconds * _S
    for seconds in (
        *(1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400),
        *(86_400 * days for days in (2, 7, 14, 28, 91, 182, 364, 3_640, 36_400, 364_000)),
    )
)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time."""

    start: datetime
    end: datetime
    traces: int
    failed: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The traces of a list together."""

    traces: int
    failed: int
    cost: Decimal | None
    """Sum of the known costs; None when none is known."""
    unpriced: int
    """Traces with a call whose cost is unknown."""
    p50_us: int | None
    """Of their heads, from start to end."""
    p95_us: int | None
    sampled: bool
    """Whether some stand for others that were left out; each counts as one here."""
    bars: list[Bar]
    """By time without gaps; empty without traces."""


async def overview(ctx: Context, narrowed: TraceFilter) -> Overview:
    """Return what the traces that fit come to. Raise DeadlineExceeded."""
    first, last = await _reach(ctx, narrowed)
    step = next(one for one in _STEPS if (last - first) // one < _MOST_BARS)
    base = first - first % step
    asked = await ranking.matching(ctx, narrowed)
    rows = await ctx.get(Columns).query(
        f"{asked.head} SELECT grouping(at) AS whole, intDiv(start_us - {{base:Int64}}, {{step:Int64}}) AS at, count() AS "
        "traces, countIf(errors > 0) AS failed, sum(paid) AS cost, countIf(unknown > 0) AS unpriced, "
        "quantilesExact(0.5 - 1e-9, 0.95 - 1e-9)(end_us - start_us) AS times, countIf(least != 1) > 0 AS sampled "
        f"{asked.source} GROUP BY GROUPING SETS ((at), ()) ORDER BY whole, at{LIMITED}",
        {**asked.values, "base": base, "step": step},
    )
    return _told([row for row in rows if row["traces"]], base, step)


def _told(rows: list[dict[str, Any]], base: int, step: int) -> Overview:
    total = next((row for row in rows if row["whole"]), None)
    if total is None:
        return Overview(traces=0, failed=0, cost=None, unpriced=0, p50_us=None, p95_us=None, sampled=False, bars=[])
    of = {row["at"]: row for row in rows if not row["whole"]}
    places = range(min(of), max(of) + 1)
    bars = [
        Bar(
            start=from_us(base + place * step),
            end=from_us(base + (place + 1) * step),
            traces=of[place]["traces"] if place in of else 0,
            failed=of[place]["failed"] if place in of else 0,
        )
        for place in places
    ]
    return Overview(
        traces=total["traces"],
        failed=total["failed"],
        cost=None if total["cost"] is None else total["cost"].normalize() + 0,
        unpriced=total["unpriced"],
        p50_us=round(total["times"][0]),
        p95_us=round(total["times"][1]),
        sampled=bool(total["sampled"]),
        bars=bars,
    )


async def _reach(ctx: Context, narrowed: TraceFilter) -> tuple[int, int]:
    """Return the first and the last moment at which a trace may have begun."""
    conditions, values = of_head(TraceFilter(since_us=narrowed.since_us, until_us=narrowed.until_us))
    where = " AND ".join(["project = {project:String}", "is_root = 1", *conditions])
    (row,) = await ctx.get(Columns).query(
        f"SELECT min(start_us) AS first, max(start_us) AS last FROM spans WHERE {where}{LIMITED}",
        values | {"project": ctx.project or "default"},
    )
    now = to_us(ctx.get(Clock).now())
    first = narrowed.since_us if narrowed.since_us is not None else row["first"]
    last = narrowed.until_us - 1 if narrowed.until_us is not None else max(row["last"], now, first)
    return first, max(first, last)
