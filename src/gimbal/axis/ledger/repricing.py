"""Which calls a rerating looks at, page by page, and how their rows get another cost.

A page is a stretch of the calls by their start, so that memory and time are bounded whatever there is. Of a page first
the changes are written down, then the rows; each new row is one version later than the one it was made from, so that
whatever came in meanwhile is newer and stays. A page that is done twice finds nothing left to change.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.axis.pricing.service import Pricer
from gimbal.axis.traces.charging import charged, uncharged
from gimbal.axis.traces.counting import REPEATED, repeats
from gimbal.axis.traces.filters import AFTER_US
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import COLUMNS, from_row, stored_parts
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer

PAGE_ROWS = 10_000
_HEAVY = frozenset({"input", "output", "documents", "attributes", "events", "resource"})
_READ = tuple(name for name in COLUMNS if name not in _HEAVY)
_EMPTY = dict.fromkeys(_HEAVY, "")
_AMOUNTS = ("cost", "saved")
_KEY = "(start_us, trace_id, span_id)"
_HERE = "project = {project:String} AND start_us >= {low:Int64} AND start_us <= {high:Int64}"
_AROUND = "project = {project:String} AND start_us >= {around_low:Int64} AND start_us <= {around_high:Int64}"
_AFTER = f"{_KEY} > ({{low:Int64}}, {{trace:String}}, {{span:String}})"
_MONEY = pa.decimal128(28, 12)
_CHANGE = pa.schema(
    [
        *((name, pa.string()) for name in ("project", "rerating", "trace_id", "span_id")),
        ("start_us", pa.int64()),
        *((name, pa.string()) for name in ("provider", "model")),
        ("old_cost", _MONEY),
        ("old_saved", _MONEY),
        *((name, pa.string()) for name in ("old_unpriced", "old_book")),
        ("new_cost", _MONEY),
        ("new_saved", _MONEY),
        ("new_parts", pa.map_(pa.string(), _MONEY)),
        *((name, pa.string()) for name in ("new_unpriced", "new_book", "reason", "changed_by")),
        *((name, pa.int64()) for name in ("changed_us", "version_us")),
    ]
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Whose calls are looked at."""

    project: str
    low_us: int
    """Start of the first, inclusive."""
    high_us: int
    """Exclusive."""
    provider: str | None
    model: str | None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Behind which span a rerating goes on."""

    start_us: int
    trace_id: str = ""
    span_id: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One call with the cost that it has and the one that the book says."""

    old: Span
    new: Span
    version_us: int

    @property
    def differs(self) -> bool:
        """Whether there is something to change."""
        return (self.new.cost, self.new.saved) != (self.old.cost, self.old.saved)

    @property
    def loses(self) -> bool:
        """Whether the call has a figure that the book does not know."""
        lost = self.new.cost is None and self.old.cost is not None
        return lost or (self.new.saved is None and self.old.saved is not None)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf costs are changed."""

    project: str
    rerating: str
    reason: str
    by: str
    now_us: int


async def bound(columns: Columns, asked: Asked, after: Place) -> Place | None:
    """Return the last span of the page behind `after`; None when there is none."""
    values = _values(asked, after, asked.high_us - 1) | {"most": PAGE_ROWS}
    # By the start alone first: the ids of everything that is still to come need not be read.
    row = (
        await columns.query(
            f"SELECT max(start_us) AS high, count() AS rows FROM (SELECT start_us FROM spans WHERE {_HERE} "
            "ORDER BY start_us LIMIT {most:UInt32})",
            values,
        )
    )[0]
    if not row["rows"]:
        return None
    rows = await columns.query(
        f"SELECT start_us, trace_id, span_id FROM (SELECT DISTINCT start_us, trace_id, span_id FROM spans WHERE {_HERE} "
        f"AND {_AFTER} ORDER BY start_us, trace_id, span_id LIMIT {{most:UInt32}}) ORDER BY start_us DESC, trace_id DESC, "
        "span_id DESC LIMIT 1",
        values | {"high": row["high"]},
    )
    if rows:
        return Place(**rows[0])
    if row["rows"] < PAGE_ROWS:
        return None
    # All that starts up to there is done: several versions of the same spans.
    return await bound(columns, asked, Place(start_us=row["high"] + 1))


async def figures(columns: Columns, book: Pricer, asked: Asked, after: Place, last: Place) -> list[Figure]:
    """Return the calls of a page with what the book says of them; each counts once, whichever spans report it."""
    values = _values(asked, after, last.start_us) | {
        "last_trace": last.trace_id,
        "last_span": last.span_id,
        "around_low": after.start_us - AFTER_US,
        "around_high": last.start_us + AFTER_US,
    }
    parts = await columns.query(
        f"SELECT 1 FROM spans WHERE {_AROUND} AND is_root = 1 AND parent_id != '' LIMIT 1", values
    )
    head, once = (f"WITH {repeats(_AROUND)} ", f"AND NOT ({REPEATED})") if parts else ("", "")
    names = ", ".join((*_READ, "written_us"))
    rows = await columns.query(
        f"{head}SELECT {names} FROM (SELECT {names} FROM spans WHERE {_HERE} AND {_AFTER} "
        f"AND {_KEY} <= ({{high:Int64}}, {{last_trace:String}}, {{last_span:String}}) "
        "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) AS s "
        f"WHERE s.weight > 0 AND s.billable = 1 AND isNotNull(s.input_tokens) {_narrowed(asked)} {once} "
        "ORDER BY s.start_us, s.trace_id, s.span_id",
        values | _names(asked),
    )
    found = [_figure(book, from_row(row | _EMPTY), row["written_us"]) for row in rows]
    return await _newest(columns, found, values)


def _figure(book: Pricer, old: Span, version_us: int) -> Figure:
    new = charged(uncharged(old), book)
    # As rows hold it.
    amounts = {name: None if (v := getattr(new, name)) is None else round(v, 12).normalize() + 0 for name in _AMOUNTS}
    return Figure(old=old, new=msgspec.structs.replace(new, **amounts), version_us=version_us)


async def _newest(columns: Columns, found: list[Figure], values: dict[str, Any]) -> list[Figure]:
    """Return the figures without those of spans that have a newer version nearby, with another start."""
    if not any(one.differs for one in found):
        return found
    rows = await columns.query(
        f"SELECT trace_id, span_id, max(written_us) AS version FROM spans WHERE {_AROUND} GROUP BY trace_id, span_id "
        "HAVING min(start_us) != max(start_us)",
        values,
    )
    moved = {(row["trace_id"], row["span_id"]): row["version"] for row in rows}
    return [one for one in found if moved.get((one.old.trace_id, one.old.span_id), one.version_us) == one.version_us]


async def note(writer: Writer, changed: Sequence[Figure], change: Change) -> None:
    """Write down durably what is about to change."""
    rows = [
        {
            "project": change.project,
            "rerating": change.rerating,
            "trace_id": one.old.trace_id,
            "span_id": one.old.span_id,
            "start_us": one.old.start_us,
            "provider": one.old.provider,
            "model": one.old.model,
            "old_cost": one.old.cost,
            "old_saved": one.old.saved,
            "old_unpriced": one.old.unpriced,
            "old_book": one.old.price_book,
            "new_cost": one.new.cost,
            "new_saved": one.new.saved,
            "new_parts": stored_parts(one.new.parts),
            "new_unpriced": one.new.unpriced,
            "new_book": one.new.price_book,
            "reason": change.reason,
            "changed_by": change.by,
            "changed_us": change.now_us,
            "version_us": one.version_us,
        }
        for one in changed
    ]
    await writer.write("cost_changes", pa.Table.from_pylist(rows, schema=_CHANGE))


async def carry_out(columns: Columns, changed: Sequence[Figure], change: Change) -> None:
    """Change what was written down; what came in newer meanwhile stays as it is."""
    starts = [one.old.start_us for one in changed]
    values = {
        "project": change.project,
        "rerating": change.rerating,
        "low": min(starts),
        "high": max(starts),
        "around_low": min(starts) - AFTER_US,
        "around_high": max(starts) + AFTER_US,
    }
    await columns.command_aside(_CARRY_OUT, values)


_REPLACED = {
    "cost": "new_cost",
    "parts": "new_parts",
    "saved": "new_saved",
    "unpriced": "new_unpriced",
    "price_book": "new_book",
}
_CHANGES = (
    "SELECT trace_id, span_id, version_us, "
    + ", ".join(f"argMax(tuple(k.{name}), k.changed_us).1 AS {name}" for name in _REPLACED.values())
    + f" FROM cost_changes AS k WHERE {_HERE} AND rerating = {{rerating:String}} "
    "GROUP BY trace_id, span_id, version_us"
)
_CHANGED = f"SELECT trace_id, span_id FROM cost_changes WHERE {_HERE} AND rerating = {{rerating:String}}"
# What was changed already has a newer version, and is left alone.
_NEWEST = (
    f"SELECT trace_id, span_id, max(written_us) FROM spans WHERE {_AROUND} AND (trace_id, span_id) IN ({_CHANGED}) "
    "GROUP BY trace_id, span_id"
)
_CARRY_OUT = (
    f"INSERT INTO spans SELECT s.* REPLACE ({', '.join(f'c.{new} AS {name}' for name, new in _REPLACED.items())}, "
    f"s.written_us + 1 AS written_us) FROM (SELECT * FROM spans WHERE {_HERE} "
    f"AND (trace_id, span_id, written_us) IN ({_NEWEST})) AS s "
    f"INNER JOIN ({_CHANGES}) AS c ON s.trace_id = c.trace_id AND s.span_id = c.span_id AND s.written_us = c.version_us "
    "SETTINGS max_insert_threads = 1"
)


def _values(asked: Asked, after: Place, high_us: int) -> dict[str, Any]:
    return {
        "project": asked.project,
        "low": after.start_us,
        "high": high_us,
        "trace": after.trace_id,
        "span": after.span_id,
    }


def _narrowed(asked: Asked) -> str:
    found = ""
    if asked.provider:
        found += " AND lower(s.provider) = {provider:String}"
    if asked.model:
        found += " AND lower(s.model) LIKE {model:String}"
    return found


def _names(asked: Asked) -> dict[str, str]:
    model = (asked.model or "").lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return {"provider": (asked.provider or "").lower(), "model": model}
