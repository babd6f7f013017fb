"""What the cost page asks: the figures of a range beside those of the range before, a table by dimension, and both by time."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.ledger import sums
from gimbal.axis.ledger.totals import begins
from gimbal.axis.traces.counting import IS_CALL
from gimbal.axis.traces.dimensions import check_choice
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.measures import LIMITED
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context

_COST = "ifNull(toFloat64(cost_exact), 0) + ifNull(cost_weighted, 0)"
ORDERS = {
    "cost": _COST,
    "calls": "calls",
    "input": "ifNull(input_tokens, 0)",
    "output": "ifNull(output_tokens, 0)",
    "saved": "ifNull(toFloat64(saved_exact), 0) + ifNull(saved_weighted, 0)",
    "wasted": "ifNull(toFloat64(wasted_exact), 0) + ifNull(wasted_weighted, 0)",
    "unpriced": "unpriced",
    "latency": "p95",
}
_TOLD = "s.billable = 1 AND notEmpty(s.its_parts)"
# By class the rest of a call's cost is its input, as it is stored.
_PARTS = (
    f"sumMapIf(s.its_parts, {_TOLD} AND s.weight = 1) AS parts_exact, "
    f"sumMapIf(mapApply((name, part) -> (name, toFloat64(part) * s.weight), s.its_parts), {_TOLD} AND s.weight != 1) "
    "AS parts_weighted, "
    f"{sums.money('told', _TOLD)}"
)
# Weights are whole numbers here; a thousandth is fine enough. A little below, so that a level that falls on a call means it.
_P95 = (
    f"quantileExactWeightedIf(0.95 - 1e-9)(s.end_us - s.start_us, toUInt64(round(s.weight * 1000)), {IS_CALL}) AS p95"
)
_SOME = "HAVING calls > 0 OR saved_known > 0"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What calls come to. Like all sums of weights they are an estimate where sampling left some out."""

    group: tuple[str, ...] = ()
    """What they have in each dimension; empty where they say nothing."""
    start: datetime | None = None
    calls: int = 0
    priced: int = 0
    unpriced: int = 0
    """Calls whose cost is unknown."""
    estimated: int = 0
    """Calls whose usage is an estimate of Gimbal's, as nobody reported it."""
    sampled: bool = False
    """Whether some stand for others that were left out."""
    cost: Decimal | None = None
    saved: Decimal | None = None
    wasted: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    parts: tuple[tuple[str, Decimal], ...] = ()
    """The cost by token class and tool, the most first; empty where no call tells it."""
    p95_ms: float | None = None

    @property
    def each(self) -> Decimal | None:
        """What a priced call costs on average."""
        return None if self.spent is None or not self.priced else self.spent / self.priced

    @property
    def spent(self) -> Decimal | None:
        """The cost as a person is told it: where only answers of a cache are known to cost nothing, it is unknown."""
        return None if not self.cost and self.unpriced else self.cost


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The groups with the most."""

    rows: list[Figures]
    more: bool
    """Whether there are other groups."""
    cost: float
    """Of all groups together, for shares."""


async def beside(ctx: Context, narrowed: TraceFilter, before: tuple[datetime, datetime]) -> tuple[Figures, Figures]:
    """Return the figures of a range and of another before it; raise BadInput, DeadlineExceeded."""
    since, until = narrowed.since_us or 0, narrowed.until_us or 0
    first, last = (to_us(moment) for moment in before)
    wide = msgspec.structs.replace(narrowed, since_us=min(first, since))
    now = "s.start_us >= {now_since:Int64}"
    found = await sums.rows(
        ctx,
        await sums.counted(ctx, (), wide, little=True),
        f"{now} AS now, {sums.SPENT}",
        f"WHERE {now} OR s.start_us < {{then_until:Int64}} GROUP BY now",
        {"now_since": since, "then_until": min(last, since, until)},
    )
    of = {bool(row["now"]): _figures(row) for row in found}
    return of.get(True, Figures()), of.get(False, Figures())


async def table(
    ctx: Context, by: Sequence[str], narrowed: TraceFilter, *, order: str, limit: int, parts: bool = False
) -> Table:
    """Return the groups with the most, with the cost by class where `parts`; raise BadInput, DeadlineExceeded."""
    check_choice("sort", order, ORDERS)
    keys = [f"k{place}" for place in range(len(by))]
    names = ", ".join(keys)
    found = await sums.rows(
        ctx,
        await sums.counted(ctx, by, narrowed, more={"parts": "s.parts"} if parts else None, little=True),
        f"{', '.join(f's.{key} AS {key}' for key in keys)}, {sums.SPENT}, {_PARTS + ', ' if parts else ''}{_P95}, "
        f"sum({_COST}) OVER () AS of_all",
        f"GROUP BY {names} {_SOME} ORDER BY {ORDERS[order]} DESC, {_COST} DESC, calls DESC, {names} LIMIT {{most:UInt32}}",
        {"most": limit + 1},
    )
    return Table(
        rows=[_figures(row, keys) for row in found[:limit]],
        more=len(found) > limit,
        cost=found[0]["of_all"] if found else 0.0,
    )


async def by_time(ctx: Context, by: str, narrowed: TraceFilter, *, every: str, most: int) -> list[Figures]:
    """Return the cost by time and by the values of a dimension that cost the most; what is in no group is the rest."""
    found = await sums.counted(ctx, (by,), narrowed, little=True)
    each = (
        f"SELECT {begins(every)} AS start, s.k0 AS name, {sums.money('cost', 's.billable = 1')} "
        f"FROM {found.source()} AS s GROUP BY start, name HAVING cost_known > 0"
    )
    ranked = (
        "SELECT *, dense_rank() OVER (ORDER BY whole DESC, name) AS place FROM "
        f"(SELECT *, sum({_COST}) OVER (PARTITION BY name) AS whole FROM ({each}))"
    )
    rows = await ctx.get(Columns).query(
        f"{found.head} SELECT t.start AS start, t.place <= {{most:UInt32}} AS inside, if(inside, t.name, '') AS k0, "
        "sum(t.cost_exact) AS cost_exact, sum(t.cost_weighted) AS cost_weighted, sum(t.cost_known) AS cost_known, "
        f"min(t.place) AS best FROM ({ranked}) AS t GROUP BY start, inside, k0 ORDER BY start, best LIMIT 10000{LIMITED}",
        found.asked.values | {"most": most},
    )
    return [
        Figures(group=(row["k0"],) if row["inside"] else (), start=from_us(row["start"]), cost=sums.amount(row, "cost"))
        for row in rows
    ]


def _figures(row: dict[str, Any], keys: Sequence[str] = ()) -> Figures:
    late = row.get("p95")
    figures: dict[str, Any] = {name: round(row[name] or 0) for name in ("calls", "priced", "unpriced", "estimated")}
    figures |= {name: sums.amount(row, name) for name in ("cost", "saved")}
    figures |= {name: sums.whole(row[name]) for name in ("input_tokens", "output_tokens")}
    return Figures(
        group=tuple(row[key] for key in keys),
        sampled=bool(row["sampled"]),
        wasted=sums.amount(row, "wasted") or None,
        parts=_parts(row) if "parts_exact" in row else (),
        p95_ms=None if late is None or not row["calls"] else late / 1000,
        **figures,
    )


def _parts(row: dict[str, Any]) -> tuple[tuple[str, Decimal], ...]:
    whole = sums.amount(row, "told")
    if whole is None:
        return ()
    exact, weighted = dict(row["parts_exact"]), dict(row["parts_weighted"])
    found = {
        name: (exact.get(name) or Decimal(0)) + round(Decimal(weighted.get(name) or 0.0), 12)
        for name in {*exact, *weighted} - {"input"}
    }
    found["input"] = whole - sum(found.values(), Decimal(0))
    told = [(name, part.normalize() + 0) for name, part in found.items() if part]
    return tuple(sorted(told, key=lambda one: (-one[1], one[0])))
