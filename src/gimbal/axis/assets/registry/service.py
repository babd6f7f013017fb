"""The registry: assets under names that may be any text, with tags, descriptions and stages beside their fixed versions.

What MLflow calls a registered model is an asset `model:` here, or `prompt:`; its versions are versions like all others:
with lineage, differences, aliases and gates. What is taken out of the registry stays as evidence, and numbers go on.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.registry.model import (
    STAGED,
    Asked,
    Kind,
    NewVersion,
    RegisteredName,
    RegisteredVersion,
    check_description,
    check_registered_name,
    check_tag,
    stage_of,
)
from gimbal.axis.assets.registry.rows import (
    CHUNK,
    change_name,
    name_row,
    note_version,
    place_of,
    put_tags,
    whole_names,
    whole_versions,
)
from gimbal.axis.assets.registry.search import (
    VERSION_COLUMNS,
    VERSIONED,
    name_rows,
    version_rows,
)
from gimbal.axis.assets.registry.store import asset_tags, registered_names, version_notes, version_tags
from gimbal.axis.assets.service import Assets
from gimbal.axis.assets.store import versions
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, Conflict, NameTaken, NotFound
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import AtVersion


class Registry:
    """Registered names and their versions, over the assets."""

    def __init__(self, catalog: Catalog, assets_: Assets) -> None:
        self._catalog = catalog
        self._assets = assets_

    async def create(
        self, ctx: Context, kind: Kind, name: str, *, tags: Mapping[str, str], description: str = ""
    ) -> RegisteredName:
        """Make a name without versions; raise NameTaken where there is one, of whichever kind."""
        check_registered_name(name)
        check_description(description)
        for tag, value in tags.items():
            check_tag(tag, value)
        project, now = _project(ctx), ctx.now()
        async with self._catalog.write(ctx) as tx:
            if await name_row(tx, project, name) is not None:
                raise _taken(name)
            asset_id, known = await place_of(tx, ctx, kind, name)
            values = {"name": name, "last_name": name, "description": description, "created_at": now, "updated_at": now}
            if known:
                await tx.execute(
                    registered_names.update().where(registered_names.c.asset_id == asset_id).values(**values)
                )
                await tx.execute(asset_tags.delete().where(asset_tags.c.asset_id == asset_id))
            elif not await insert_missing(tx, registered_names, {"asset_id": asset_id, "project": project, **values}):
                # Somebody else was quicker.
                raise _taken(name)
            await put_tags(tx, asset_tags, asset_id, tags)
            ctx.audit(registered=f"{kind}:{name}")
        return await self.named(ctx, name)

    async def named(self, ctx: Context, name: str) -> RegisteredName:
        """Return what has this name; raise NotFound."""
        async with self._catalog.read() as tx:
            row = await name_row(tx, _project(ctx), name)
            if row is None:
                raise _missing(name)
            return (await whole_names(tx, [row]))[0]

    async def rename(self, ctx: Context, name: str, to: str) -> RegisteredName:
        """Give another name; references go on to say the asset's own. Raise NameTaken or NotFound."""
        found = await self.named(ctx, name)
        check_registered_name(to)
        try:
            async with self._catalog.write(ctx) as tx:
                if to != name and await name_row(tx, found.project, to) is not None:
                    raise _taken(to)
                await change_name(tx, ctx, found.asset_id, name=to, last_name=to)
                ctx.audit(renamed=f"{found.kind}:{name}", to=to)
        except IntegrityError:
            # Somebody else took it in the same moment.
            raise _taken(to) from None
        return await self.named(ctx, to)

    async def describe(self, ctx: Context, name: str, description: str) -> RegisteredName:
        """Write its description."""
        found = await self.named(ctx, name)
        async with self._catalog.write(ctx) as tx:
            await change_name(tx, ctx, found.asset_id, description=check_description(description))
        return await self.named(ctx, name)

    async def retire(self, ctx: Context, name: str) -> None:
        """Take a name and its versions out of the registry; raise GateRefused where a gated alias stands."""
        found = await self.named(ctx, name)
        # First what may be refused.
        for alias in found.aliases:
            await self._move(ctx, found, alias, None, "deleted in the registry")
        async with self._catalog.write(ctx) as tx:
            query = sa.select(versions.c.id).where(versions.c.asset_id == found.asset_id)
            for version_id in (await tx.execute(query)).scalars().all():
                await note_version(tx, ctx, version_id, removed_at=ctx.now())
            await change_name(tx, ctx, found.asset_id, name=None)
            ctx.audit(retired=f"{found.kind}:{found.asset}")

    async def tag(self, ctx: Context, name: str, tag: str, value: str) -> None:
        """Set a tag of a name."""
        check_tag(tag, value)
        found = await self.named(ctx, name)
        async with self._catalog.write(ctx) as tx:
            await put_tags(tx, asset_tags, found.asset_id, {tag: value})
            await change_name(tx, ctx, found.asset_id)

    async def untag(self, ctx: Context, name: str, tag: str) -> None:
        """Take a tag of a name away; nothing happens where there is none."""
        found = await self.named(ctx, name)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(
                asset_tags.delete().where(asset_tags.c.asset_id == found.asset_id, asset_tags.c.name == tag)
            )

    async def search_names(self, ctx: Context, asked: Asked) -> Page[RegisteredName]:
        """Return names that fit, a page of them; raise BadInput for a cursor of another search."""
        async with self._catalog.read() as tx:
            rows, more = await name_rows(tx, _project(ctx), asked)
            return Page(items=await whole_names(tx, rows), next=more)

    async def add(self, ctx: Context, name: str, new: NewVersion) -> RegisteredVersion:
        """Make a version of what has this name; raise NotFound or BadInput."""
        check_description(new.description)
        for tag, value in new.tags.items():
            check_tag(tag, value)
        found = await self.named(ctx, name)

        async def note(tx: AsyncConnection, version: Version) -> None:
            values = {
                field: getattr(new, field) for field in ("description", "source", "run_id", "run_link", "model_id")
            }
            row = {"version_id": version.id, "stage": "None", "removed_at": None, "updated_at": ctx.now(), **values}
            await tx.execute(version_notes.insert().values(**row))
            await put_tags(tx, version_tags, version.id, new.tags)
            await change_name(tx, ctx, found.asset_id)

        made = await self._assets.add_version(
            ctx,
            kind=found.kind,
            name=found.asset,
            manifest=new.manifest,
            files=new.files,
            inputs=new.inputs,
            run_id=new.made_by,
            also=note,
        )
        return await self.version(ctx, name, made.number)

    async def version(self, ctx: Context, name: str, number: int) -> RegisteredVersion:
        """Return one version; raise NotFound, also for one that was taken out."""
        query = sa.select(*VERSION_COLUMNS).select_from(VERSIONED)
        query = query.where(registered_names.c.project == _project(ctx), registered_names.c.name == name)
        query = query.where(versions.c.number == number, version_notes.c.removed_at.is_(None))
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
            if row is None:
                raise NotFound(
                    f"Model Version (name={name}, version={number}) not found.",
                    where="version",
                    todo="Search for versions to see those there are.",
                )
            return (await whole_versions(tx, [dict(row)]))[0]

    async def change(
        self, ctx: Context, name: str, number: int, *, description: str | None = None
    ) -> RegisteredVersion:
        """Write the description of a version."""
        found = await self.version(ctx, name, number)
        async with self._catalog.write(ctx) as tx:
            if description is not None:
                await note_version(tx, ctx, found.id, description=check_description(description))
        return await self.version(ctx, name, number)

    async def remove(self, ctx: Context, name: str, number: int) -> None:
        """Take a version out of the registry, and its aliases away; raise GateRefused where one of them is gated."""
        found = await self.version(ctx, name, number)
        for alias in found.aliases:
            await self._move(ctx, found, alias, None, "deleted in the registry")
        async with self._catalog.write(ctx) as tx:
            await note_version(tx, ctx, found.id, removed_at=ctx.now())
            await change_name(tx, ctx, found.asset_id)
            ctx.audit(removed=f"{found.kind}:{found.asset}@v{number}")

    async def tag_version(self, ctx: Context, name: str, number: int, tag: str, value: str) -> None:
        """Set a tag of a version."""
        check_tag(tag, value)
        found = await self.version(ctx, name, number)
        async with self._catalog.write(ctx) as tx:
            await put_tags(tx, version_tags, found.id, {tag: value})

    async def untag_version(self, ctx: Context, name: str, number: int, tag: str) -> None:
        """Take a tag of a version away; nothing happens where there is none."""
        found = await self.version(ctx, name, number)
        async with self._catalog.write(ctx) as tx:
            await tx.execute(
                version_tags.delete().where(version_tags.c.version_id == found.id, version_tags.c.name == tag)
            )

    async def set_alias(self, ctx: Context, name: str, alias: str, number: int) -> None:
        """Let an alias stand on a version; raise GateRefused for a gated one."""
        found = await self.version(ctx, name, number)
        await self._move(ctx, found, alias, number, "in the registry")

    async def remove_alias(self, ctx: Context, name: str, alias: str) -> None:
        """Take an alias away; nothing happens where there is none. Raise GateRefused for a gated one."""
        found = await self.named(ctx, name)
        if alias in found.aliases:
            await self._move(ctx, found, alias, None, "in the registry")

    async def to_stage(
        self, ctx: Context, name: str, number: int, stage: str, *, archive_others: bool = False
    ) -> RegisteredVersion:
        """Put a version into a stage; the alias of the stage's name follows, so that a gate on it holds.

        `archive_others` puts the versions that were in that stage into Archived.
        """
        wanted = stage_of(stage)
        if archive_others and wanted not in STAGED:
            raise BadInput(
                f"Model version transition cannot archive existing model versions because '{wanted}' is not an Active stage.",
                where="archive_existing_versions",
                kept="the stage it was in",
                todo="Valid stages are Staging, Production.",
            )
        found = await self.version(ctx, name, number)
        if wanted in STAGED:
            await self._move(ctx, found, wanted.lower(), number, f"stage {wanted}")
        if found.stage != wanted and found.stage.lower() in found.aliases:
            await self._move(ctx, found, found.stage.lower(), None, f"stage {wanted}")
        async with self._catalog.write(ctx) as tx:
            await note_version(tx, ctx, found.id, stage=wanted)
            if archive_others:
                others = sa.select(versions.c.id).where(
                    versions.c.asset_id == found.asset_id, versions.c.id != found.id
                )
                same = (version_notes.c.version_id.in_(others), version_notes.c.stage == wanted)
                await tx.execute(version_notes.update().where(*same).values(stage="Archived", updated_at=ctx.now()))
            await change_name(tx, ctx, found.asset_id)
        return await self.version(ctx, name, number)

    async def search_versions(self, ctx: Context, asked: Asked) -> Page[RegisteredVersion]:
        """Return versions that fit, a page of them; raise BadInput for a cursor of another search."""
        async with self._catalog.read() as tx:
            rows, more = await version_rows(tx, _project(ctx), asked)
            return Page(items=await whole_versions(tx, rows), next=more)

    async def latest(
        self, ctx: Context, names: Sequence[RegisteredName], stages: Sequence[str] | None = None
    ) -> dict[str, list[RegisteredVersion]]:
        """Return, by asset id, the newest version in each stage, or only in these."""
        wanted = [stage_of(stage) for stage in stages] if stages else None
        newest: dict[str, list[RegisteredVersion]] = {}
        for start in range(0, len(names), CHUNK):
            ids = [one.asset_id for one in names[start : start + CHUNK]]
            stage = sa.func.coalesce(version_notes.c.stage, "None")
            top = (
                sa.select(versions.c.asset_id, sa.func.max(versions.c.number).label("number"))
                .select_from(versions.outerjoin(version_notes, version_notes.c.version_id == versions.c.id))
                .where(versions.c.asset_id.in_(ids), version_notes.c.removed_at.is_(None))
                .group_by(versions.c.asset_id, stage)
            )
            if wanted is not None:
                top = top.where(stage.in_(wanted))
            inner = top.subquery()
            same = sa.and_(versions.c.asset_id == inner.c.asset_id, versions.c.number == inner.c.number)
            query = sa.select(*VERSION_COLUMNS).select_from(VERSIONED.join(inner, same)).order_by(versions.c.number)
            async with self._catalog.read() as tx:
                rows = [dict(row) for row in (await tx.execute(query)).mappings()]
                for one in await whole_versions(tx, rows):
                    newest.setdefault(one.asset_id, []).append(one)
        return newest

    async def _move(
        self, ctx: Context, of: RegisteredName | RegisteredVersion, alias: str, number: int | None, reason: str
    ) -> None:
        """Let an alias stand on a version (None: nowhere), as whoever may do so."""
        ctx.require(Permission.RELEASE)
        to = None if number is None else AtVersion(number)
        await self._assets.move_alias(ctx, of.kind, of.asset, alias, to, reason=reason)


def _project(ctx: Context) -> str:
    return ctx.project or "default"


def _taken(name: str) -> Conflict:
    return NameTaken(
        f"Registered Model (name={name}) already exists.",
        where="name",
        kept="that one",
        todo="Use it, or another name.",
    )


def _missing(name: str) -> NotFound:
    return NotFound(
        f"Registered Model with name={name} not found.", where="name", todo="Search for registered models to see them."
    )
