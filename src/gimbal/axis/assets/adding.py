"""Versions written, one or a thousand, with the same few statements; `service.Assets` checks what they say before.

Assets are locked in the order of their names, after those that are new have been made in that order: of two callers with
many assets each, one waits for the other and never both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import FileEntry, Version, VersionAdded, VersionDraft
from gimbal.axis.assets.reading import AssetReader
from gimbal.axis.assets.registry.rows import enlist
from gimbal.axis.assets.store import CHUNK, add_missing, assets, uses, versions
from gimbal.kernel.context import Context
from gimbal.kernel.errors import StaleVersion
from gimbal.kernel.ids import new_id

T = TypeVar("T")

# Made once: to put a statement together takes longer than SQLite needs for its answer.
_THERE = sa.select(assets.c.id, assets.c.name, assets.c.last_number).where(
    assets.c.project == sa.bindparam("project"),
    assets.c.kind == sa.bindparam("kind"),
    assets.c.name.in_(sa.bindparam("names", expanding=True)),
)
# By code points on both engines, whatever the language of the database.
_LOCKED = {
    dialect: _THERE.order_by(assets.c.name.collate(order)).with_for_update()
    for dialect, order in (("postgresql", "C"), ("sqlite", "BINARY"))
}
_NUMBERED = (
    assets.update()
    .where(assets.c.id == sa.bindparam("the_id"))
    .values(last_number=sa.bindparam("the_number"), latest_at=sa.bindparam("the_time"))
)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A version that may be stored as it is."""

    new: VersionDraft
    manifest: dict[str, Any]
    """As it will be read again."""
    files: list[FileEntry]
    """By path."""
    digest: str


class _Standing(msgspec.Struct, kw_only=True):
    """An asset while versions are added to it."""

    id: str
    number: int
    """Of its newest version."""


async def add(tx: AsyncConnection, ctx: Context, kind: str, given: Sequence[Checked]) -> list[Version]:
    """Add versions in their order; return for each the new one, or the one that has its content already.

    Raise StaleVersion where the newest version is not the one that it shall come after.
    """
    standing = await _locked(tx, ctx, kind, sorted({one.new.name for one in given}))
    known = await _known(tx, given, standing)
    found: list[Version] = []
    made: list[tuple[str, Version]] = []
    for one in given:
        new, asset = one.new, standing[one.new.name]
        if new.after is not None and asset.number != new.after:
            raise StaleVersion(
                f"The newest version of {kind}:{new.name} is v{asset.number}, not v{new.after}.",
                where="after",
                kept="nothing",
                todo="Read it again and decide anew.",
            )
        version = known.get((asset.id, one.digest))
        if version is None:
            asset.number += 1
            version = known[asset.id, one.digest] = _made(ctx, kind, one, asset.number)
            made.append((asset.id, version))
        found.append(version)
    await _write(tx, made)
    await add_missing(tx, uses, list(_origins(ctx, given, found)))
    for _, version in made:
        ctx.emit(VersionAdded(project=version.project, version=version))
    return found


async def _locked(tx: AsyncConnection, ctx: Context, kind: str, names: Sequence[str]) -> dict[str, _Standing]:
    """Return the assets of these names, sorted, locked until the end of the transaction; make those that are not there."""
    project, now = ctx.project or "default", ctx.now()
    asked, locked = {"project": project, "kind": kind}, _LOCKED[tx.dialect.name]
    # Of several none is locked before all are there; a single one has no order.
    found = await _rows(tx, locked if len(names) == 1 else _THERE, asked, names)
    missing = [name for name in names if name not in found]
    rows: list[dict[str, Any]] = [
        {"id": new_id(), "project": project, "kind": kind, "name": name, "last_number": 0, "latest_at": now}
        for name in missing
    ]
    await add_missing(tx, assets, rows)
    if missing or len(names) > 1:
        found = await _rows(tx, locked, asked, names)
    own = {row["id"] for row in rows}
    named = {asset.id: name for name, asset in found.items() if asset.id in own}
    if named:
        await enlist(tx, ctx, kind, named)
    return found


async def _rows(
    tx: AsyncConnection, query: sa.Select[str, str, int], asked: Mapping[str, Any], names: Sequence[str]
) -> dict[str, _Standing]:
    found: dict[str, _Standing] = {}
    for chunk in _chunks(names):
        for row in await tx.execute(query, {**asked, "names": chunk}):
            found[row.name] = _Standing(id=row.id, number=row.last_number)
    return found


async def _known(
    tx: AsyncConnection, given: Sequence[Checked], standing: Mapping[str, _Standing]
) -> dict[tuple[str, str], Version]:
    """Return the versions that have the content of one of these already, by asset and digest."""
    contents = {(standing[one.new.name].id, one.digest): None for one in given if standing[one.new.name].number}
    found: dict[tuple[str, str], Version] = {}
    for chunk in _chunks(list(contents)):
        found |= await AssetReader.of_contents(tx, chunk)
    return found


def _made(ctx: Context, kind: str, one: Checked, number: int) -> Version:
    return Version(
        id=new_id(),
        project=ctx.project or "default",
        kind=kind,
        name=one.new.name,
        number=number,
        digest=one.digest,
        manifest=one.manifest,
        files=one.files,
        inputs=list(one.new.inputs),
        run_id=one.new.run_id,
        created_at=ctx.now(),
        created_by=ctx.principal.name,
        note=one.new.note,
    )


async def _write(tx: AsyncConnection, made: Sequence[tuple[str, Version]]) -> None:
    """Store new versions, and on their assets which is the newest."""
    if not made:
        return
    own = [column.name for column in versions.c if column.name != "asset_id"]
    rows = [{"asset_id": id_} | {name: getattr(version, name) for name in own} for id_, version in made]
    await tx.execute(versions.insert(), rows)
    newest = {
        id_: {"the_id": id_, "the_number": version.number, "the_time": version.created_at} for id_, version in made
    }
    await tx.execute(_NUMBERED, list(newest.values()))


def _origins(ctx: Context, given: Sequence[Checked], found: Sequence[Version]) -> Iterator[dict[str, Any]]:
    """Yield the edges to what versions were made from and by; another origin of the same content is added to the first."""
    for one, version in zip(given, found, strict=True):
        edge = {"project": version.project, "at": ctx.now()}
        of_version = edge | {"user_kind": "version", "user_id": str(version.ref), "relation": "input"}
        for source in one.new.inputs:
            yield of_version | {"ref": str(source)}
        if one.new.run_id:
            made = {"user_kind": "run", "user_id": one.new.run_id, "relation": "made"}
            yield edge | made | {"ref": str(version.ref)}


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
