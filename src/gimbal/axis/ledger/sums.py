"""The statements that sum up calls for the ledger, by the same rules as `traces.aggregate`: each call once, newest version."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces.counting import IS_CALL, WASTED
from gimbal.axis.traces.dimensions import Plan, plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.measures import LIMITED
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context

DAY_US = 86_400_000_000
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
# What the spans that are counted are read for, beside what every plan reads.
_MONEY = {"saved": "s.saved", "estimated": "s.estimated"}
_MORE = _MONEY | {name: f"s.{name}" for name in TOKENS[2:]}


def money(name: str, condition: str) -> str:
    """Return the expressions of a sum of money: exact where spans stand for themselves, an estimate where for others."""
    column = "s.its_saved" if name == "saved" else "s.cost"
    return (
        f"sumIf({column}, {condition} AND s.weight = 1) AS {name}_exact, "
        f"sumIf(toFloat64({column}) * s.weight, {condition} AND s.weight != 1) AS {name}_weighted, "
        f"countIf({condition} AND isNotNull({column})) AS {name}_known"
    )


SPENT = ", ".join(
    [
        f"sumIf(s.weight, {IS_CALL}) AS calls",
        "sumIf(s.weight, s.billable = 1 AND isNotNull(s.cost)) AS priced",
        "sumIf(s.weight, s.billable = 1 AND s.unpriced != '') AS unpriced",
        f"sumIf(s.weight, {IS_CALL} AND s.its_estimated = 1) AS estimated",
        "countIf(s.weight != 1) AS sampled",
        money("cost", "s.billable = 1"),
        money("saved", "s.billable = 1"),
        money("wasted", f"{WASTED}"),
        *(f"sumIf(s.{name} * s.weight, s.billable = 1) AS {name}" for name in TOKENS[:2]),
    ]
)
"""What reads little: the money, the calls, and the tokens in and out."""
SUMS = ", ".join(
    [
        SPENT,
        *(f"sumIf(s.its_{name} * s.weight, s.billable = 1) AS {name}" for name in TOKENS[2:]),
    ]
)


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that reads the calls that are counted, once each."""

    asked: Plan
    names: tuple[str, ...]
    """Of its keys behind the dimensions."""

    @property
    def head(self) -> str:
        """What stands before SELECT."""
        return self.asked.head()

    def source(self) -> str:
        """Return the calls; what is read in addition is called `its_…`."""
        first = len(self.asked.keys) - len(self.names)
        named = ", ".join(f"c.k{first + place} AS its_{name}" for place, name in enumerate(self.names))
        return f"(SELECT c.*, {named} FROM ({self.asked.spans()}) AS c)"


async def counted(
    ctx: Context,
    by: Sequence[str],
    narrowed: TraceFilter,
    *,
    more: dict[str, str] | None = None,
    little: bool = False,
) -> Counted:
    """Return how to read what a question is about, `little` where only `SPENT` is asked for; raise BadInput."""
    extra = (_MONEY if little else _MORE) | (more or {})
    asked = plan(ctx.project or "default", by, narrowed, roots=False)
    reads = {expression.removeprefix("s.") for expression in extra.values()}
    asked = msgspec.structs.replace(asked, keys=(*asked.keys, *extra.values()), reads=asked.reads | reads)
    state = (await ctx.get(Columns).query(asked.state(), asked.values))[0]
    return Counted(asked=asked.over(state), names=tuple(extra))


async def rows(
    ctx: Context, found: Counted, select: str, behind: str, values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a question to the calls that are counted, which it calls `s`."""
    sql = f"{found.head} SELECT {select} FROM {found.source()} AS s {behind}{LIMITED}"
    return await ctx.get(Columns).query(sql, found.asked.values | (values or {}))


def amount(row: dict[str, Any], name: str) -> Decimal | None:
    """Return a sum of money; None where nothing of it is known."""
    if not row[f"{name}_known"]:
        return None
    exact: Decimal = row[f"{name}_exact"] or Decimal(0)
    return (exact + round(Decimal(row[f"{name}_weighted"] or 0.0), 12)).normalize() + 0


def whole(value: float | None) -> int | None:
    """Return a count as a whole number; None stays unknown."""
    return None if value is None else round(value)
