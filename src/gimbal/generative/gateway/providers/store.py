"""Tables of providers: one row a provider and scope, and one row whose revision every change raises.

Processes see that there is something new by reading that one row. Keys are in `seal` only, and only sealed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.storage.catalog import Json, Utc, metadata
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.settings_gateway import ProviderSettings

providers = sa.Table(
    "gateway_providers",
    metadata,
    # The slug of a project; empty for the whole installation.
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("seal", sa.Text, nullable=False),
    sa.Column("key_set_at", Utc),
    sa.Column("key_set_by", sa.Text, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Column("updated_by", sa.Text, nullable=False),
)
state = sa.Table(
    "gateway_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as it is kept."""

    scope: str
    settings: ProviderSettings
    revision: int = 0
    seal: str = ""
    key_set_at: datetime | None = None
    key_set_by: str = ""
    updated_at: datetime
    updated_by: str

    @property
    def name(self) -> str:
        """Its short name."""
        return self.settings.name


async def revision(tx: AsyncConnection) -> int:
    """Return the number that every change raises."""
    return (await tx.execute(sa.select(state.c.revision))).scalar() or 0


async def raised(tx: AsyncConnection) -> int:
    """Raise it, locked until the end of the transaction; return the new one."""
    await insert_missing(tx, state, {"id": 1, "revision": 0})
    await tx.execute(state.update().values(revision=state.c.revision + 1))
    return await revision(tx)


async def everything(tx: AsyncConnection) -> list[Row]:
    """Return every provider of every scope, by name."""
    query = sa.select(providers).order_by(providers.c.scope, providers.c.name)
    return [_row(row) for row in (await tx.execute(query)).mappings()]


async def one(tx: AsyncConnection, scope: str, name: str) -> Row | None:
    """Return a provider of a scope."""
    query = sa.select(providers).where(providers.c.scope == scope, providers.c.name == name)
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else _row(row)


async def insert(tx: AsyncConnection, row: Row) -> bool:
    """Keep a new provider; tell whether its name was free."""
    return await insert_missing(tx, providers, _values(row))


async def put(tx: AsyncConnection, row: Row) -> None:
    """Keep what has changed of a provider."""
    same = (providers.c.scope == row.scope, providers.c.name == row.name)
    await tx.execute(providers.update().where(*same).values(_values(row)))


async def remove(tx: AsyncConnection, scope: str, name: str) -> bool:
    """Delete a provider with its key; tell whether there was one."""
    same = (providers.c.scope == scope, providers.c.name == name)
    return bool((await tx.execute(providers.delete().where(*same))).rowcount)


def _values(row: Row) -> dict[str, Any]:
    values = msgspec.structs.asdict(row)
    document = values.pop("settings")
    return {**values, "document": document, "name": row.name}


def _row(row: Mapping[Any, Any]) -> Row:
    fields = {name: row[name] for name in Row.__struct_fields__ if name != "settings"}
    return Row(settings=msgspec.convert(row["document"], ProviderSettings), **fields)
