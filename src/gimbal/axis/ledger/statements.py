"""Importing what providers export: whole or not at all, and once, whatever is sent twice.

A file is known by its digest, a line by its provider, account, day, model and what else it is told by. A line that is
there already gives way to the newer statement. What would count the same figures twice is refused: the same day of the same
account by another export, or parted in another way.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.ledger.books import current_book, in_dollars
from gimbal.axis.ledger.formats import anthropic, mapped, openai
from gimbal.axis.ledger.formats.buckets import text_of
from gimbal.axis.ledger.formats.lines import Line, Read, key_of
from gimbal.axis.ledger.model import RejectedLine, Statement
from gimbal.axis.ledger.store import lines as lines_table
from gimbal.axis.ledger.store import statements
from gimbal.axis.pricing.service import Pricer
from gimbal.axis.traces.dimensions import check_choice
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor

_FORMATS: dict[str, tuple[str, Callable[[str], Read]]] = {
    "openai-usage": ("openai", openai.usage),
    "openai-costs": ("openai", openai.costs),
    "anthropic-usage": ("anthropic", anthropic.usage),
    "anthropic-costs": ("anthropic", anthropic.costs),
}
FORMATS = (*_FORMATS, "csv")
_MOST_REJECTED = 1000
_LONGEST = 200
_SLICE = 500


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be read."""

    format: str
    provider: str | None = None
    account: str = ""
    filename: str = ""
    columns: tuple[str, ...] = ()


async def take(ctx: Context, body: bytes, asked: Import) -> Statement:
    """Store the lines of a file; raise BadInput, CorruptUpload, TooLarge or Conflict, and nothing is stored then."""
    read, provider = _read(body, asked)
    digest = f"b3:{blake3(body).hexdigest()}"
    known = await _known(ctx, asked.account, digest)
    if known is not None:
        return known
    found = _in_dollars(read, await current_book(ctx))
    if not found:
        first = (
            "; ".join(f"line {number}: {reason}" for number, reason in read.rejected[:3]) or "the file has no lines."
        )
        raise BadInput(
            f"No line could be taken: {first}",
            where="body",
            kept="everything as it was",
            todo="Check that the format is right; `csv` takes any table with a mapping of its columns.",
        )
    rows = _rows(ctx, found, read, provider, asked)
    days = sorted({row["day"] for row in rows})
    row: dict[str, Any] = {
        "id": new_id(), "project": ctx.project, "provider": provider, "format": asked.format, "account": asked.account,
        "filename": asked.filename, "digest": digest, "first_day": days[0], "last_day": days[-1], "lines": len(rows),
        "replaced": 0, "cost": _sum(rows, "cost"), "input_tokens": _sum(rows, "input_tokens"),
        "output_tokens": _sum(rows, "output_tokens"), "rejected": read.rejected[:_MOST_REJECTED],
        "rejected_lines": len(read.rejected), "created_at": ctx.now(), "created_by": ctx.principal.name,
    }  # fmt: skip
    async with ctx.get(Catalog).write(ctx) as tx:
        if await insert_missing(tx, statements, row):
            await _refuse_twice(tx, rows)
            row["replaced"] = await _store(tx, rows, row["id"])
            await tx.execute(statements.update().where(statements.c.id == row["id"]).values(replaced=row["replaced"]))
            return _record(row)
    # Somebody else has sent the same file meanwhile.
    known = await _known(ctx, asked.account, digest)
    if known is None:
        raise Conflict("The same file was imported and removed meanwhile.", where="body", todo="Send it again.")
    return known


def _read(body: bytes, asked: Import) -> tuple[Read, str]:
    check_choice("format", asked.format, FORMATS)
    for name in ("account", "provider", "filename"):
        value = getattr(asked, name) or ""
        if len(value) > _LONGEST or (value and not value.isprintable()):
            raise BadInput(f"The {name} is no name.", where=name, todo=f"Give up to {_LONGEST} characters on one line.")
    text = text_of(body)
    if asked.format == "csv":
        if not asked.provider:
            raise BadInput("A table does not say whose it is.", where="provider", todo="Give the provider: openai …")
        return mapped.read(text, mapped.mapping(asked.columns)), asked.provider.lower()
    if asked.columns:
        raise BadInput(
            f"The columns of {asked.format} are known.",
            where="column",
            todo="Leave them out, or choose the format csv.",
        )
    provider, read = _FORMATS[asked.format]
    return read(text), (asked.provider or provider).lower()


def _in_dollars(read: Read, prices: Pricer) -> list[Line]:
    """Return the lines with their amounts in US dollars; one in an unknown currency is rejected, not taken as dollars."""
    found: list[Line] = []
    for line in read.lines:
        if line.cost is None or line.currency == "USD":
            found.append(line)
            continue
        rate = in_dollars(prices, line.currency, line.day)
        if rate is None:
            read.rejected.append((line.number, f"the price book has no rate for {line.currency} on {line.day}."))
        else:
            found.append(msgspec.structs.replace(line, cost=line.cost * rate))
    read.rejected.sort()
    return found


def _rows(ctx: Context, found: Sequence[Line], read: Read, provider: str, asked: Import) -> list[dict[str, Any]]:
    repeats: Counter[tuple[Any, ...]] = Counter()
    rows: list[dict[str, Any]] = []
    for line in found:
        same = (line.day, line.model, line.detail, line.tier)
        rows.append(
            {
                "project": ctx.project,
                "provider": provider,
                "account": asked.account,
                "day": line.day.isoformat(),
                "model": line.model,
                "format": asked.format,
                "line": key_of(line, repeats[same]),
                "shape": read.shape,
                "tier": line.tier,
                "cost": line.cost,
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
                "calls": line.calls,
            }
        )
        repeats[same] += 1
    return rows


def _sum(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    known = [row[name] for row in rows if row[name] is not None]
    return sum(known, ZERO if name == "cost" else 0) if known else None


def _of(row: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [lines_table.c[name] == row[name] for name in ("project", "provider", "account")]


async def _refuse_twice(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise Conflict where another export has the same figures of a day in another form."""
    days = sorted({row["day"] for row in rows})
    c = lines_table.c
    query = sa.select(
        c.day, c.format, c.shape, c.statement, sa.func.count(c.cost), sa.func.count(c.input_tokens)
    ).where(*_of(rows[0]), c.day.between(days[0], days[-1]))
    there = (await tx.execute(query.group_by(c.day, c.format, c.shape, c.statement).order_by(c.day))).all()
    mine = {
        "cost": any(row["cost"] is not None for row in rows),
        "tokens": any(row["calls"] is not None or row["input_tokens"] is not None for row in rows),
    }
    here = {row["day"] for row in rows}
    for day, format_, shape, statement, costs, tokens in there:
        other = (format_, shape) != (rows[0]["format"], rows[0]["shape"])
        if day in here and other and ((costs and mine["cost"]) or (tokens and mine["tokens"])):
            what = "costs" if costs and mine["cost"] else "tokens"
            raise Conflict(
                f"The {what} of {day} are there already, in another form ({format_}): they would count twice.",
                where="body",
                kept="everything as it was",
                todo=f"Remove the statement {statement} first, or give this one another --account.",
            )


async def _store(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]], statement: str) -> int:
    """Store lines in place of those with the same keys; return how many gave way."""
    key = ("project", "provider", "account", "day", "model", "format", "line")
    c = lines_table.c
    days = sorted({row["day"] for row in rows})
    query = sa.select(c.day, c.model, c.line).where(
        *_of(rows[0]), c.format == rows[0]["format"], c.day.between(days[0], days[-1])
    )
    there = {tuple(row) for row in (await tx.execute(query)).all()}
    gone = [row for row in rows if (row["day"], row["model"], row["line"]) in there]
    if gone:
        same = [c[name] == sa.bindparam(f"the_{name}") for name in key]
        for first in range(0, len(gone), _SLICE):
            given = [{f"the_{name}": row[name] for name in key} for row in gone[first : first + _SLICE]]
            await tx.execute(lines_table.delete().where(*same), given)
    for first in range(0, len(rows), _SLICE):
        await tx.execute(
            lines_table.insert(), [{**row, "statement": statement} for row in rows[first : first + _SLICE]]
        )
    return len(gone)


async def _known(ctx: Context, account: str, digest: str) -> Statement | None:
    c = statements.c
    query = sa.select(statements).where(c.project == ctx.project, c.account == account, c.digest == digest)
    async with ctx.get(Catalog).read() as tx:
        row = (await tx.execute(query)).mappings().first()
    return None if row is None else msgspec.structs.replace(_record(row), repeated=True)


async def page(ctx: Context, *, cursor: str | None, limit: int) -> Page[Statement]:
    """Return the statements of the project, newest first."""
    query = sa.select(statements).where(statements.c.project == ctx.project)
    if cursor:
        query = query.where(statements.c.id < cursor_text(cursor, "id"))
    query = query.order_by(statements.c.id.desc()).limit(check_limit(limit) + 1)
    async with ctx.get(Catalog).read() as tx:
        rows = list((await tx.execute(query)).mappings())
    items = [_record(row) for row in rows[:limit]]
    return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)


async def remove(ctx: Context, statement_id: str) -> None:
    """Remove a statement with its lines; raise NotFound. What had given way to them does not come back."""
    async with ctx.get(Catalog).write(ctx) as tx:
        mine = (statements.c.id == statement_id, statements.c.project == ctx.project)
        if (await tx.execute(sa.select(statements.c.id).where(*mine))).first() is None:
            raise NotFound(
                f"There is no statement {statement_id}.", where="id", todo="`gimbal ledger statements` lists them."
            )
        await tx.execute(lines_table.delete().where(lines_table.c.statement == statement_id))
        await tx.execute(statements.delete().where(*mine))


async def lines_between(ctx: Context, first: date, last: date, provider: str | None) -> list[Mapping[Any, Any]]:
    """Return the lines of a stretch of days, summed up by day, provider, model and tier."""
    c = lines_table.c
    query = sa.select(c.day, c.provider, c.model, c.tier, c.cost, c.input_tokens, c.output_tokens, c.calls).where(
        c.project == ctx.project, c.day.between(first.isoformat(), last.isoformat())
    )
    if provider:
        query = query.where(c.provider == provider.lower())
    async with ctx.get(Catalog).read() as tx:
        return list((await tx.execute(query)).mappings())


def _record(row: Mapping[Any, Any]) -> Statement:
    cost: Decimal | None = row["cost"]
    return Statement(
        **{
            name: row[name]
            for name in ("id", "provider", "format", "account", "filename", "digest", "lines", "replaced")
        },
        first_day=None if row["first_day"] is None else date.fromisoformat(row["first_day"]),
        last_day=None if row["last_day"] is None else date.fromisoformat(row["last_day"]),
        cost=None if cost is None else cost.normalize() + 0,
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        rejected=[RejectedLine(line=number, reason=reason) for number, reason in row["rejected"]],
        rejected_lines=row["rejected_lines"],
        repeated=False,
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
