"""What a span cost before: every cost that was changed after it was stored."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gimbal.axis.ledger.lines import rated_line
from gimbal.axis.ledger.model import CostChange, RatedLine
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor

_DAY_US = 86_400_000_000
_KEY = "start_us, trace_id, span_id, rerating, new_book"
_COLUMNS = (
    "rerating, trace_id, span_id, start_us, provider, model, old_cost, old_saved, old_unpriced, old_book, new_cost, new_saved, new_unpriced, "
    "new_book, reason, changed_by, changed_us"
)
# A rerating whose book changed under way has changed some calls twice: from the first figure to the last.
_BY_DAY = (
    "SELECT s.day AS day, s.provider AS provider, s.model AS model, count() AS calls, countIf(isNull(s.old)) AS priced, "
    "countIf(isNull(s.new)) AS unpriced, sum(s.old) AS old_sum, sum(s.new) AS new_sum FROM ("
    f"SELECT intDiv(c.start_us, {_DAY_US}) AS day, argMin(c.provider, c.version_us) AS provider, "
    "argMin(c.model, c.version_us) AS model, argMin(tuple(c.old_cost), c.version_us).1 AS old, "
    "argMax(tuple(c.new_cost), c.version_us).1 AS new FROM cost_changes AS c "
    "WHERE c.project = {project:String} AND c.rerating = {rerating:String} "
    "GROUP BY day, c.trace_id, c.span_id, c.start_us) AS s "
    "GROUP BY day, provider, model ORDER BY day, provider, model LIMIT {most:UInt32}"
)


async def by_day(ctx: Context, rerating: str, most: int) -> list[RatedLine]:
    """Return what a rerating changed, by day and model."""
    values = {"project": ctx.project or "default", "rerating": rerating, "most": most}
    return [
        rated_line(
            from_us(row["day"] * _DAY_US).date(),
            row["provider"],
            row["model"],
            calls=row["calls"],
            priced=row["priced"],
            unpriced=row["unpriced"],
            old=row["old_sum"] or Decimal(0),
            new=row["new_sum"] or Decimal(0),
        )
        for row in await ctx.get(Columns).query(_BY_DAY, values)
    ]


async def page(
    ctx: Context,
    *,
    rerating: str | None,
    trace: str | None,
    span: str | None,
    day: date | None,
    cursor: str | None,
    limit: int,
) -> Page[CostChange]:
    """Return changed costs, the calls that began last first."""
    where = ["project = {project:String}"]
    values: dict[str, Any] = {"project": ctx.project or "default", "most": check_limit(limit) + 1}
    for name, column, value in (
        ("rerating", "rerating", rerating),
        ("trace", "trace_id", trace),
        ("span", "span_id", span),
    ):
        if value:
            where.append(f"{column} = {{{name}:String}}")
            values[name] = value
    if day is not None:
        begins = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
        where.append("start_us >= {begins:Int64} AND start_us < {ends:Int64}")
        values |= {"begins": begins, "ends": begins + _DAY_US}
    if cursor:
        where.append(f"({_KEY}) < ({{at:Int64}}, {{c1:String}}, {{c2:String}}, {{c3:String}}, {{c4:String}})")
        values |= {"at": cursor_number(cursor, "at")}
        values |= {name: cursor_text(cursor, name) for name in ("c1", "c2", "c3", "c4")}
    rows = await ctx.get(Columns).query(
        f"SELECT {_COLUMNS} FROM cost_changes WHERE {' AND '.join(where)} "
        f"ORDER BY start_us DESC, trace_id DESC, span_id DESC, rerating DESC, new_book DESC, changed_us "
        f"LIMIT 1 BY {_KEY} LIMIT {{most:UInt32}}",
        values,
    )
    items = [_change(row) for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        last = rows[limit - 1]
        more = encode_cursor(
            {
                "at": last["start_us"],
                "c1": last["trace_id"],
                "c2": last["span_id"],
                "c3": last["rerating"],
                "c4": last["new_book"],
            }
        )
    return Page(items=items, next=more)


def _change(row: dict[str, Any]) -> CostChange:
    costs = {
        name: None if row[name] is None else row[name].normalize() + 0
        for name in ("old_cost", "old_saved", "new_cost", "new_saved")
    }
    same = (
        "rerating", "trace_id", "span_id", "provider", "model", "old_unpriced", "old_book", "new_unpriced", "new_book",
        "reason", "changed_by",
    )  # fmt: skip
    return CostChange(
        **costs,
        **{name: row[name] for name in same},
        start=from_us(row["start_us"]),
        changed_at=from_us(row["changed_us"]),
    )
