"""Reading assets: what a reference means, lists, versions, aliases and their history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import Alias, AliasMove, Asset, FileEntry, Version
from gimbal.axis.assets.store import alias_moves, aliases, assets, versions
from gimbal.engines.storage.blobs import PREFIX
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotFound
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor
from gimbal.kernel.refs import AtDigest, AtVersion, Latest, Ref, ResolvedRef, Selector

_joined = versions.join(assets, versions.c.asset_id == assets.c.id)
_version_columns = (versions, assets.c.project, assets.c.kind, assets.c.name)
_contents = sa.tuple_(versions.c.asset_id, versions.c.digest).in_(sa.bindparam("contents", expanding=True))
_OF_CONTENTS = sa.select(*_version_columns).select_from(_joined).where(_contents)

_MOST_NAMED = 5


class AssetReader:
    """The questions that one can ask of assets."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @staticmethod
    async def _one(tx: AsyncConnection, *conditions: sa.ColumnElement[bool]) -> Version | None:
        query = sa.select(*_version_columns).select_from(_joined).where(*conditions).limit(1)
        row = (await tx.execute(query)).mappings().first()
        return _version(row) if row is not None else None

    @classmethod
    async def at(cls, tx: AsyncConnection, project: str, ref: ResolvedRef) -> Version | None:
        """Return the version that was recorded as `ref`, or None when it is not of this project."""
        same = (assets.c.project == project, assets.c.kind == ref.kind, assets.c.name == ref.name)
        return await cls._one(tx, *same, versions.c.number == ref.number)

    @staticmethod
    async def of_contents(tx: AsyncConnection, contents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """Return the versions of these contents, each the id of an asset and a digest, by it; those that there are."""
        rows = (await tx.execute(_OF_CONTENTS, {"contents": list(contents)})).mappings()
        return {(row["asset_id"], row["digest"]): _version(row) for row in rows}

    async def resolve(self, ctx: Context, ref: Ref | str) -> Version:
        """Return the one version that a reference means; raise NotFound, or Conflict for a digest of several."""
        ref = Ref.parse(ref) if isinstance(ref, str) else ref
        async with self._catalog.read() as tx:
            return await self._resolve(tx, ctx.project or "default", ref)

    async def _resolve(self, tx: AsyncConnection, project: str, ref: Ref) -> Version:
        asset = await self._asset(tx, project, ref.kind, ref.name)
        number = await self._number(tx, asset, ref.selector, ref)
        found = await self._one(tx, versions.c.asset_id == asset["id"], versions.c.number == number)
        if found is None:
            raise NotFound(
                f"{ref.asset} has no version {number}.",
                where="selector",
                todo=f"It has versions 1 to {asset['last_number']}.",
            )
        return found

    @staticmethod
    async def _asset(tx: AsyncConnection, project: str, kind: str, name: str) -> Mapping[str, Any]:
        same = (assets.c.project == project, assets.c.kind == kind, assets.c.name == name)
        row = (await tx.execute(sa.select(assets).where(*same))).mappings().first()
        if row is None or not row["last_number"]:
            raise NotFound(
                f"There is no {kind}:{name} in project {project!r}.",
                where="ref",
                todo=f"`gimbal assets list --kind {kind}` shows those there are.",
            )
        return {str(name): value for name, value in row.items()}

    async def _number(self, tx: AsyncConnection, asset: Mapping[str, Any], selector: Selector, ref: Ref) -> int:
        if isinstance(selector, Latest):
            return int(asset["last_number"])
        if isinstance(selector, AtVersion):
            return selector.number
        if isinstance(selector, AtDigest):
            return await self._by_digest(tx, asset, selector, ref)
        if selector.at is None:
            query = sa.select(aliases.c.number).where(
                aliases.c.asset_id == asset["id"], aliases.c.alias == selector.alias
            )
        else:
            query = (
                sa.select(alias_moves.c.to_number)
                .where(
                    alias_moves.c.asset_id == asset["id"],
                    alias_moves.c.alias == selector.alias,
                    alias_moves.c.at <= selector.at,
                )
                .order_by(alias_moves.c.at.desc(), alias_moves.c.id.desc())
                .limit(1)
            )
        number = (await tx.execute(query)).scalar()
        if number is None:
            when = f" at {selector.at.isoformat()}" if selector.at else ""
            raise NotFound(
                f"{ref.asset} has no alias {selector.alias!r}{when}.",
                where="selector",
                todo=f"`gimbal assets show {ref.asset}` shows its aliases and their history.",
            )
        return int(number)

    @staticmethod
    async def _by_digest(tx: AsyncConnection, asset: Mapping[str, Any], selector: AtDigest, ref: Ref) -> int:
        query = sa.select(versions.c.number, versions.c.digest).where(
            versions.c.asset_id == asset["id"], versions.c.digest.startswith(PREFIX + selector.prefix)
        )
        rows = (await tx.execute(query.order_by(versions.c.number).limit(_MOST_NAMED + 1))).all()
        found = [number for number, _ in rows]
        if len(found) > 1:
            some = ", ".join(f"v{number} is {digest[: 12 + len(selector.prefix)]}" for number, digest in rows)
            raise Conflict(
                f"{selector} means several versions of {ref.asset}: {some}.", where="selector", todo="Give more digits."
            )
        if not found:
            raise NotFound(f"{ref.asset} has no version {selector}.", where="selector", todo="See its versions.")
        return int(found[0])

    async def show(self, ctx: Context, ref: Ref) -> Version:
        """Return the version with the aliases that stand on it."""
        project = ctx.project or "default"
        async with self._catalog.read() as tx:
            version = await self._resolve(tx, project, ref)
            asset = await self._asset(tx, project, ref.kind, ref.name)
            query = sa.select(aliases.c.alias).where(
                aliases.c.asset_id == asset["id"], aliases.c.number == version.number
            )
            names = sorted((await tx.execute(query)).scalars())
        return msgspec.structs.replace(version, aliases=names)

    async def page(
        self,
        ctx: Context,
        *,
        kind: str | None = None,
        search: str | None = None,
        newest: bool = False,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Asset]:
        """Return assets with their aliases, by kind and name or those with the newest version first."""
        query = sa.select(assets).where(assets.c.project == (ctx.project or "default"), assets.c.last_number > 0)
        if kind:
            query = query.where(assets.c.kind == kind)
        if search:
            query = query.where(assets.c.name.contains(search.lower(), autoescape=True))
        if newest:
            if cursor:
                at, id_ = from_us(cursor_number(cursor, "at")), cursor_text(cursor, "id")
                query = query.where(_before(assets.c.latest_at, at, assets.c.id, id_))
            query = query.order_by(assets.c.latest_at.desc(), assets.c.id.desc())
        else:
            if cursor:
                after = sa.tuple_(cursor_text(cursor, "kind"), cursor_text(cursor, "name"))
                query = query.where(sa.tuple_(assets.c.kind, assets.c.name) > after)
            query = query.order_by(assets.c.kind, assets.c.name)
        query = query.limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = list((await tx.execute(query)).mappings())
            standing = sa.select(aliases).where(aliases.c.asset_id.in_([r["id"] for r in rows[:limit]]))
            stands: dict[str, dict[str, int]] = {}
            for row in (await tx.execute(standing.order_by(aliases.c.alias))).mappings():
                stands.setdefault(row["asset_id"], {})[row["alias"]] = row["number"]
        items = [
            Asset(
                kind=r["kind"],
                name=r["name"],
                versions=r["last_number"],
                latest_at=r["latest_at"],
                aliases=stands.get(r["id"], {}),
            )
            for r in rows[:limit]
        ]
        if len(rows) <= limit:
            return Page(items=items)
        last = rows[limit - 1]
        place = (
            {"at": to_us(last["latest_at"]), "id": last["id"]}
            if newest
            else {"kind": last["kind"], "name": last["name"]}
        )
        return Page(items=items, next=encode_cursor(place))

    async def versions(
        self, ctx: Context, kind: str, name: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Version]:
        """Return the versions of an asset, newest first, each with its aliases."""
        async with self._catalog.read() as tx:
            asset = await self._asset(tx, ctx.project or "default", kind, name)
            query = sa.select(*_version_columns).select_from(_joined).where(versions.c.asset_id == asset["id"])
            if cursor:
                query = query.where(versions.c.number < min(cursor_number(cursor, "number"), 2**31 - 1))
            query = query.order_by(versions.c.number.desc()).limit(check_limit(limit) + 1)
            rows = [_version(row) for row in (await tx.execute(query)).mappings()]
            stands: dict[int, list[str]] = {}
            for row in (await tx.execute(sa.select(aliases).where(aliases.c.asset_id == asset["id"]))).mappings():
                stands.setdefault(row["number"], []).append(row["alias"])
        items = [msgspec.structs.replace(v, aliases=sorted(stands.get(v.number, []))) for v in rows[:limit]]
        return Page(
            items=items,
            next=encode_cursor({"number": items[-1].number}) if len(rows) > limit else None,
            total=asset["last_number"],
        )

    async def aliases(self, ctx: Context, kind: str, name: str) -> list[Alias]:
        """Return the aliases of an asset by name."""
        async with self._catalog.read() as tx:
            asset = await self._asset(tx, ctx.project or "default", kind, name)
            query = (
                sa.select(aliases, versions.c.digest)
                .join(
                    versions,
                    sa.and_(versions.c.asset_id == aliases.c.asset_id, versions.c.number == aliases.c.number),
                )
                .where(aliases.c.asset_id == asset["id"])
                .order_by(aliases.c.alias)
            )
            rows = (await tx.execute(query)).mappings()
            return [
                Alias(
                    kind=kind,
                    name=name,
                    alias=r["alias"],
                    number=r["number"],
                    digest=r["digest"],
                    moved_at=r["moved_at"],
                    moved_by=r["moved_by"],
                )
                for r in rows
            ]

    async def history(self, ctx: Context, kind: str, name: str, alias: str | None = None) -> list[AliasMove]:
        """Return the moves of one alias, or of all, newest first."""
        async with self._catalog.read() as tx:
            asset = await self._asset(tx, ctx.project or "default", kind, name)
            query = sa.select(alias_moves).where(alias_moves.c.asset_id == asset["id"])
            if alias:
                query = query.where(alias_moves.c.alias == alias)
            rows = (await tx.execute(query.order_by(alias_moves.c.at.desc(), alias_moves.c.id.desc()))).mappings()
            return [_move({**r, "kind": kind, "name": name}) for r in rows]

    async def moves(self, ctx: Context, *, cursor: str | None = None, limit: int = 50) -> Page[AliasMove]:
        """Return the moves of all aliases in the project, newest first."""
        query = sa.select(alias_moves, assets.c.kind, assets.c.name)
        query = query.join(assets, assets.c.id == alias_moves.c.asset_id)
        query = query.where(assets.c.project == (ctx.project or "default"))
        if cursor:
            at, id_ = from_us(cursor_number(cursor, "at")), cursor_text(cursor, "id")
            query = query.where(_before(alias_moves.c.at, at, alias_moves.c.id, id_))
        query = query.order_by(alias_moves.c.at.desc(), alias_moves.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = [_move(row) for row in (await tx.execute(query)).mappings()]
        items = rows[:limit]
        more = len(rows) > limit
        return Page(items=items, next=encode_cursor({"at": to_us(items[-1].at), "id": items[-1].id}) if more else None)

    @staticmethod
    async def _last_move(tx: AsyncConnection, asset_id: str, asset: Ref, alias: str) -> AliasMove | None:
        query = sa.select(alias_moves).where(alias_moves.c.asset_id == asset_id, alias_moves.c.alias == alias)
        query = query.order_by(alias_moves.c.at.desc(), alias_moves.c.id.desc()).limit(1)
        row = (await tx.execute(query)).mappings().first()
        return _move({**row, "kind": asset.kind, "name": asset.name}) if row is not None else None


def _before(at: sa.Column[Any], at_value: datetime, id_: sa.Column[Any], id_value: str) -> sa.ColumnElement[bool]:
    """Return the condition for rows behind a cursor in an order by time and id, newest first."""
    return sa.or_(at < at_value, sa.and_(at == at_value, id_ < id_value))


def _move(row: Mapping[Any, Any]) -> AliasMove:
    return AliasMove(**{str(name): value for name, value in row.items() if name != "asset_id"})


def _version(row: Any) -> Version:
    values = {k: v for k, v in dict(row).items() if k != "asset_id"}
    values["files"] = msgspec.convert(values["files"], list[FileEntry])
    values["inputs"] = msgspec.convert(values["inputs"], list[ResolvedRef])
    return Version(**values)
