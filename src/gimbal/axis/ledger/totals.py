"""What a finance person asks: the cost by dimension and time, with what it leaves out, as a table and as CSV."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from gimbal.axis.ledger import sums
from gimbal.axis.ledger.model import TotalRow, Totals
from gimbal.axis.traces.dimensions import check_choice
from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.http import Download

MOST_ROWS = 100_000
_US = {"hour": 3_600_000_000, "day": sums.DAY_US, "week": 7 * sums.DAY_US, "month": 0}
# The first of January 1970 was a Thursday; weeks begin on Monday.
_MONDAY_US = 4 * sums.DAY_US
_FIELDS = tuple(name for name in TotalRow.__struct_fields__ if name not in {"group", "start"})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is summed up."""

    by: tuple[str, ...] = ()
    every: str | None = None
    narrowed: TraceFilter = TraceFilter()
    limit: int = 1000


async def totals(ctx: Context, asked: Asked) -> Totals:
    """Return costs by dimension and time; raise BadInput, or DeadlineExceeded when it takes too long."""
    if not 1 <= asked.limit <= MOST_ROWS:
        raise BadInput(f"There cannot be {asked.limit} rows.", where="limit", todo=f"Ask for 1 to {MOST_ROWS:,}.")
    if asked.every is not None:
        check_choice("every", asked.every, _US)
    found = await sums.counted(ctx, asked.by, asked.narrowed)
    keys = [f"k{place}" for place in range(len(asked.by))]
    group = ", ".join(["start", *keys])
    rows = await sums.rows(
        ctx,
        found,
        f"{begins(asked.every)} AS start, {''.join(f's.{key} AS {key}, ' for key in keys)}{sums.SUMS}",
        f"GROUP BY {group} HAVING calls > 0 OR saved_known > 0 "
        f"ORDER BY start, ifNull(toFloat64(cost_exact), 0) + ifNull(cost_weighted, 0) DESC, calls DESC, {group} "
        "LIMIT {most:UInt32}",
        {"most": asked.limit + 1},
    )
    whole = await sums.rows(ctx, await _once(ctx, asked), f"NULL AS start, {sums.SUMS}", "")
    return Totals(
        rows=[_row(row, keys) for row in rows[: asked.limit]],
        total=_row(whole[0], ()),
        more=len(rows) > asked.limit,
    )


async def _once(ctx: Context, asked: Asked) -> sums.Counted:
    """Return how to read every call once; by some dimensions a call stands in several groups."""
    return await sums.counted(ctx, (), asked.narrowed)


def begins(every: str | None) -> str:
    """Return the expression of the moment at which the stretch of time of a call begins."""
    if every is None:
        return "CAST(NULL, 'Nullable(Int64)')"
    if every == "month":
        month = "toStartOfMonth(fromUnixTimestamp64Micro(s.start_us, 'UTC'))"
        return f"toInt64(toUnixTimestamp(toDateTime({month}, 'UTC'))) * 1000000"
    offset = _MONDAY_US if every == "week" else 0
    return f"s.start_us - positiveModulo(s.start_us - {offset}, {_US[every]})"


def _row(row: dict[str, Any], keys: Sequence[str]) -> TotalRow:
    figures: dict[str, Any] = {name: round(row[name] or 0) for name in ("calls", "priced", "unpriced")}
    figures |= {name: sums.amount(row, name) for name in ("cost", "saved", "wasted")}
    figures |= {name: sums.whole(row[name]) for name in sums.TOKENS}
    return TotalRow(
        start=None if row["start"] is None else from_us(row["start"]),
        group=[row[key] or None for key in keys],
        **figures,
    )


async def as_csv(ctx: Context, asked: Asked) -> Download:
    """Return the same as a file; raise BadInput when it has too many rows, as it would not be whole."""
    found = await totals(ctx, msgspec.structs.replace(asked, limit=MOST_ROWS))
    if found.more:
        raise BadInput(
            f"The file would have more than {MOST_ROWS:,} rows.",
            where="every",
            todo="Take a shorter range, larger stretches of time, or fewer dimensions.",
        )

    async def chunks() -> AsyncIterator[bytes]:
        heading = ["start", *asked.by, *_FIELDS]
        yield _line(heading)
        for row in found.rows:
            start = "" if row.start is None else f"{row.start:%Y-%m-%dT%H:%M:%SZ}"
            yield _line([start, *(safe(one or "") for one in row.group), *(_cell(getattr(row, n)) for n in _FIELDS)])

    return Download(chunks=chunks(), media_type="text/csv; charset=utf-8", filename="costs.csv")


def _cell(value: Any) -> str:
    """Return a figure as text; what is unknown is empty, not zero."""
    return "" if value is None else f"{value:f}" if hasattr(value, "normalize") else str(value)


def safe(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode()
