"""Tables of prices: books as they were read, overrides as they were set, and which book is in force.

Books and overrides never change: an override that is removed stays, and is not used any more. Every change raises the
`revision` of the one row of `price_state`, under whose lock it is made: so processes see that there is something new by
reading one row, and two overrides that overlap cannot be set at the same time.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.pricing.overrides import Override
from gimbal.engines.storage.catalog import Json, Utc, metadata
from gimbal.engines.storage.tables import append_only, insert_missing

price_books = append_only(
    sa.Table(
        "price_books",
        metadata,
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("prices", sa.Integer, nullable=False),
        sa.Column("taken_at", Utc, nullable=False),
        sa.Column("taken_by", sa.Text, nullable=False),
    )
)
price_overrides = sa.Table(
    "price_overrides",
    metadata,
    # The slug of a project; empty for the whole installation.
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),
    sa.Column("document", Json, nullable=False),
    sa.Column("set_at", Utc, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
    sa.Column("removed_at", Utc),
    sa.Column("removed_by", sa.Text, nullable=False),
)
price_state = sa.Table(
    "price_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("current", sa.Text, sa.ForeignKey("price_books.version")),
    sa.Column("forced", sa.Boolean, nullable=False),
    sa.Column("refresh", Json, nullable=False),
)


class Refreshing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How getting a newer book went."""

    checked_at: datetime | None = None
    outcome: str = ""
    """`taken`, `unchanged`, `refused` or `unreachable`; empty before the first time."""
    message: str = ""
    """What was wrong with the last one."""
    source: str = ""
    etag: str = ""
    """What the source said of the book that it gave last."""
    counts: dict[str, int] = {}
    """How often each outcome was had."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force."""

    revision: int = 0
    current: str | None = None
    """Version of the book that was refreshed; null: the shipped one alone."""
    forced: bool = False
    refresh: Refreshing = Refreshing()


async def state(tx: AsyncConnection) -> State:
    """Return what is in force."""
    row = (await tx.execute(sa.select(price_state))).mappings().first()
    return State() if row is None else _state(row)


async def locked(tx: AsyncConnection) -> State:
    """Return what is in force, locked until the end of the transaction and one revision on."""
    first = {"id": 1, "revision": 0, "current": None, "forced": False, "refresh": Refreshing()}
    await insert_missing(tx, price_state, first)
    row = (await tx.execute(sa.select(price_state).with_for_update())).mappings().one()
    found = msgspec.structs.replace(_state(row), revision=row["revision"] + 1)
    await tx.execute(price_state.update().values(revision=found.revision))
    return found


async def put_state(tx: AsyncConnection, found: State) -> None:
    """Put what is in force; the state was locked before."""
    values = {"current": found.current, "forced": found.forced, "refresh": found.refresh}
    await tx.execute(price_state.update().values(values))


def _state(row: Mapping[Any, Any]) -> State:
    refresh = msgspec.convert(row["refresh"], Refreshing)
    return State(revision=row["revision"], current=row["current"], forced=row["forced"], refresh=refresh)


async def changed(tx: AsyncConnection, after: int) -> list[Override]:
    """Return the overrides that were set or removed after a revision."""
    query = sa.select(price_overrides).where(price_overrides.c.revision > after)
    return [_override(row) for row in (await tx.execute(query)).mappings()]


async def of_scopes(tx: AsyncConnection, scopes: Iterable[str]) -> list[Override]:
    """Return every override of some scopes, removed ones too, newest first."""
    query = sa.select(price_overrides).where(price_overrides.c.scope.in_(list(scopes)))
    rows = await tx.execute(query.order_by(price_overrides.c.set_at.desc(), price_overrides.c.number.desc()))
    return [_override(row) for row in rows.mappings()]


async def numbered(tx: AsyncConnection, scope: str, number: int) -> Override | None:
    """Return an override, also a removed one."""
    same = (price_overrides.c.scope == scope, price_overrides.c.number == number)
    row = (await tx.execute(sa.select(price_overrides).where(*same))).mappings().first()
    return None if row is None else _override(row)


async def insert(tx: AsyncConnection, found: Override, revision: int) -> None:
    """Keep an override."""
    out = {"scope", "number", "set_at", "set_by", "removed_at", "removed_by"}
    document = {name: value for name, value in msgspec.structs.asdict(found).items() if name not in out}
    values = {name: getattr(found, name) for name in out}
    await tx.execute(price_overrides.insert().values(revision=revision, document=document, **values))


async def remove(tx: AsyncConnection, found: Override, revision: int, at: datetime, by: str) -> None:
    """Note that an override is not used any more."""
    same = (price_overrides.c.scope == found.scope, price_overrides.c.number == found.number)
    values = {"removed_at": at, "removed_by": by, "revision": revision}
    await tx.execute(price_overrides.update().where(*same).values(values))


def _override(row: Mapping[Any, Any]) -> Override:
    document = {**row["document"], "scope": row["scope"], "number": row["number"], "set_by": row["set_by"]}
    moments = {"set_at": row["set_at"], "removed_at": row["removed_at"], "removed_by": row["removed_by"]}
    return msgspec.convert({**document, **moments}, Override)
