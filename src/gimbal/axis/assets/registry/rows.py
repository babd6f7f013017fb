"""Rows of the registry made whole, and changes of single rows within an open transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import FileEntry
from gimbal.axis.assets.registry.model import Kind, RegisteredName, RegisteredVersion, slug_of
from gimbal.axis.assets.registry.search import NAME_COLUMNS, NAMED
from gimbal.axis.assets.registry.store import asset_tags, registered_names, version_notes, version_tags
from gimbal.axis.assets.store import CHUNK, add_missing, aliases, assets, versions
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.ids import new_id

KINDS: tuple[Kind, ...] = ("model", "prompt")


async def put_tags(tx: AsyncConnection, table: sa.Table, owner: str, tags: Mapping[str, str]) -> None:
    """Set tags; the last value stays."""
    key = next(iter(table.primary_key.columns))
    for name in sorted(tags):
        if not await insert_missing(tx, table, {key.name: owner, "name": name, "value": tags[name]}):
            await tx.execute(table.update().where(key == owner, table.c.name == name).values(value=tags[name]))


async def name_row(tx: AsyncConnection, project: str, name: str) -> dict[str, Any] | None:
    """Return the row of a registered name, or None."""
    query = sa.select(*NAME_COLUMNS).select_from(NAMED)
    query = query.where(registered_names.c.project == project, registered_names.c.name == name)
    row = (await tx.execute(query)).mappings().first()
    return None if row is None else {str(key): value for key, value in row.items()}


async def place_of(tx: AsyncConnection, ctx: Context, kind: Kind, name: str) -> tuple[str, bool]:
    """Return the asset for a new name, and whether it was in the registry before: one of this name goes on."""
    project = ctx.project or "default"
    query = sa.select(registered_names.c.asset_id).select_from(NAMED)
    query = query.where(registered_names.c.project == project, registered_names.c.name.is_(None))
    query = query.where(registered_names.c.last_name == name, assets.c.kind == kind).limit(1)
    before = (await tx.execute(query)).scalar()
    if before is not None:
        return before, True
    slug, number = slug_of(name, kind), 1
    while True:
        values: dict[str, Any] = {
            "id": new_id(), "project": project, "kind": kind, "name": slug if number == 1 else f"{slug}-{number}",
            "last_number": 0, "latest_at": ctx.now(),
        }  # fmt: skip
        if await insert_missing(tx, assets, values):
            return values["id"], False
        number += 1


async def enlist(tx: AsyncConnection, ctx: Context, kind: str, named: Mapping[str, str]) -> None:
    """Give assets (names by id) that are made without the registry their own names in it, where these are free."""
    if kind not in KINDS:
        return
    project, now = ctx.project or "default", ctx.now()
    names = sorted(named.values())
    taken: set[str] = set()
    for start in range(0, len(names), CHUNK):
        query = sa.select(registered_names.c.name).where(registered_names.c.project == project)
        query = query.where(registered_names.c.name.in_(names[start : start + CHUNK]))
        taken |= set((await tx.execute(query)).scalars())
    rows: list[dict[str, Any]] = [
        {
            # Names there are one space: a prompt that is named like a model has none.
            "asset_id": id_, "project": project, "name": None if name in taken else name, "last_name": name,
            "description": "", "created_at": now, "updated_at": now,
        }
        for id_, name in sorted(named.items(), key=lambda item: item[1])
    ]  # fmt: skip
    await add_missing(tx, registered_names, rows)


async def change_name(tx: AsyncConnection, ctx: Context, asset_id: str, **values: Any) -> None:
    """Change what is known of a registered name."""
    changed = registered_names.update().where(registered_names.c.asset_id == asset_id)
    await tx.execute(changed.values(updated_at=ctx.now(), **values))


async def note_version(tx: AsyncConnection, ctx: Context, version_id: str, **values: Any) -> None:
    """Change what is noted of a version; one that was made without the registry gets its notes now."""
    own = sa.select(versions.c.note, versions.c.run_id).where(versions.c.id == version_id)
    made = (await tx.execute(own)).one()
    blank = {
        "version_id": version_id, "description": made.note, "stage": "None", "source": "", "run_id": made.run_id or "",
        "run_link": "", "model_id": "", "removed_at": None, "updated_at": ctx.now(),
    }  # fmt: skip
    await insert_missing(tx, version_notes, blank)
    same = version_notes.c.version_id == version_id
    await tx.execute(version_notes.update().where(same).values(updated_at=ctx.now(), **values))


async def whole_names(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[RegisteredName]:
    """Return rows with their tags and aliases."""
    ids = [row["asset_id"] for row in rows]
    tags = await _tags(tx, asset_tags, ids)
    stands: dict[str, dict[str, int]] = {}
    for start in range(0, len(ids), CHUNK):
        query = sa.select(aliases).where(aliases.c.asset_id.in_(ids[start : start + CHUNK])).order_by(aliases.c.alias)
        for row in (await tx.execute(query)).mappings():
            stands.setdefault(row["asset_id"], {})[row["alias"]] = row["number"]
    return [
        RegisteredName(
            **{key: value for key, value in row.items() if key != "last_name"},
            tags=tags.get(row["asset_id"], {}),
            aliases=stands.get(row["asset_id"], {}),
        )
        for row in rows
    ]


async def whole_versions(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[RegisteredVersion]:
    """Return rows with their tags and aliases."""
    tags = await _tags(tx, version_tags, [row["id"] for row in rows])
    owners = sorted({row["asset_id"] for row in rows})
    stands: dict[tuple[str, int], list[str]] = {}
    for start in range(0, len(owners), CHUNK):
        query = sa.select(aliases).where(aliases.c.asset_id.in_(owners[start : start + CHUNK]))
        for row in (await tx.execute(query.order_by(aliases.c.alias))).mappings():
            stands.setdefault((row["asset_id"], row["number"]), []).append(row["alias"])
    return [
        RegisteredVersion(
            **_plain(row),
            tags=tags.get(row["id"], {}),
            aliases=stands.get((row["asset_id"], row["number"]), []),
        )
        for row in rows
    ]


async def _tags(tx: AsyncConnection, table: sa.Table, owners: Sequence[str]) -> dict[str, dict[str, str]]:
    key = next(iter(table.primary_key.columns))
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(owners), CHUNK):
        query = sa.select(table).where(key.in_(owners[start : start + CHUNK])).order_by(table.c.name)
        for row in (await tx.execute(query)).mappings():
            found.setdefault(row[key.name], {})[row["name"]] = row["value"]
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "files": msgspec.convert(row["files"], list[FileEntry])}
