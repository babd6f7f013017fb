"""Experiments: what runs belong to that are compared with each other. Every project has one named `default`.

One that was deleted keeps its name, its runs and their files until it is restored.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.experiments.model import DEFAULT, CreateExperiment, Experiment, Stage, UpdateExperiment
from gimbal.axis.runs.experiments.search import ExperimentQuery, experiment_rows
from gimbal.axis.runs.store import EXPIRING, experiment_tags, experiments, runs
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NameTaken, NotFound, NotReady
from gimbal.kernel.fresh import Fresh
from gimbal.kernel.pages import Page, check_limit, cursor_number, encode_cursor

_CHUNK = 2_000
_FRESH_S = 2.0
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_LOCATIONS = sa.select(experiments.c.key, experiments.c.artifact_location).where(
    Among(experiments.c.key), experiments.c.artifact_location != ""
)
_NAMED = sa.select(experiments.c.key, experiments.c.stage).where(
    experiments.c.project == sa.bindparam("of_project"), experiments.c.name == sa.bindparam("of_name")
)


class Experiments:
    """Experiments on the catalog."""

    def __init__(self, catalog: Catalog, *, changed: Callable[[], None] = lambda: None) -> None:
        """Call `changed` whenever an experiment was changed here: rows of runs show its name and stage."""
        self._catalog = catalog
        self._changed = changed
        self._known: Fresh[tuple[str, int | str], Experiment] = Fresh(_FRESH_S)

    async def ensure(self, ctx: Context, tx: AsyncConnection, name: str) -> int:
        """Return the key of the experiment of this name, made if need be; raise NotReady for one that was deleted."""
        project, now = ctx.project or "default", ctx.now()
        asked = {"of_project": project, "of_name": name}
        row = (await tx.execute(_NAMED, asked)).first()
        if row is None:
            await insert_missing(tx, experiments, _values(project, name, now))
            row = (await tx.execute(_NAMED, asked)).one()
        if row.stage != "active":
            raise _deleted(name)
        return int(row.key)

    async def create(self, ctx: Context, body: CreateExperiment) -> Experiment:
        """Make an experiment; raise NameTaken, also when it was deleted."""
        project, now = ctx.project or "default", ctx.now()
        name = _checked(body.name)
        values = _values(project, name, now) | {"artifact_location": body.artifact_location}
        async with self._catalog.write(ctx) as tx:
            if not await insert_missing(tx, experiments, values):
                raise NameTaken(
                    f"There is an experiment {name!r} already.",
                    where="name",
                    kept="that one",
                    todo="Use it, or restore it if it was deleted.",
                )
            key = (await tx.execute(sa.select(experiments.c.key).where(*_named(project, name)))).scalar_one()
            await _tag(tx, key, body.tags)
        return await self.of_key(ctx, key)

    async def named(self, ctx: Context, name: str) -> Experiment:
        """Return the experiment of a name, also a deleted one; raise NotFound."""
        return await self._one(ctx, _named(ctx.project or "default", name), repr(name))

    async def of_key(self, ctx: Context, key: int) -> Experiment:
        """Return the experiment of a number, also a deleted one; raise NotFound."""
        return await self._one(
            ctx, [experiments.c.project == (ctx.project or "default"), experiments.c.key == key], str(key)
        )

    async def near(self, ctx: Context, key: int | str) -> Experiment:
        """Return the experiment of a number or name, also a deleted one, as it was a moment ago at most.

        A run that is begun asks for its experiment, as all do that begin with it. Raise NotFound.
        """

        async def read(_: tuple[str, int | str]) -> Experiment:
            return await (self.of_key(ctx, key) if isinstance(key, int) else self.named(ctx, key))

        return await self._known.get((ctx.project or "default", key), read)

    async def locations(self, keys: Collection[int]) -> dict[int, str]:
        """Return where another tool keeps the files of these experiments' runs, of those of which that was told."""
        async with self._catalog.read() as tx:
            return {row.key: row.artifact_location for row in await tx.execute(_LOCATIONS, {"keys": list(keys)})}

    async def default(self, ctx: Context) -> Experiment:
        """Return the project's experiment of the name `default`, made if need be."""
        try:
            return await self.named(ctx, DEFAULT)
        except NotFound:
            pass
        async with self._catalog.write(ctx) as tx:
            await insert_missing(tx, experiments, _values(ctx.project or "default", DEFAULT, ctx.now()))
        return await self.named(ctx, DEFAULT)

    async def update(self, ctx: Context, key: int, body: UpdateExperiment) -> Experiment:
        """Rename or tag an experiment; raise NameTaken, or NotReady when it was deleted."""
        found = await self.of_key(ctx, key)
        if found.stage != "active":
            raise _deleted(found.name)
        name = found.name if body.name is None else _checked(body.name)
        async with self._catalog.write(ctx) as tx:
            taken = sa.select(experiments.c.key).where(*_named(found.project, name), experiments.c.key != key)
            if (await tx.execute(taken)).first() is not None:
                raise NameTaken(f"There is an experiment {name!r} already.", where="name", todo="Choose another name.")
            await tx.execute(
                experiments.update().where(experiments.c.key == key).values(name=name, updated_at=ctx.now())
            )
            await _tag(tx, key, {tag: value for tag, value in body.tags.items() if value is not None})
            gone = [tag for tag, value in body.tags.items() if value is None]
            if gone:
                mine = experiment_tags.c.experiment_key == key
                await tx.execute(experiment_tags.delete().where(mine, experiment_tags.c.name.in_(gone)))
        self._forget()
        return await self.of_key(ctx, key)

    async def set_stage(self, ctx: Context, key: int, stage: Stage) -> Experiment:
        """Delete or restore an experiment and its runs with it; a second time changes nothing."""
        found = await self.of_key(ctx, key)
        if found.stage != stage:
            async with self._catalog.write(ctx) as tx:
                now = ctx.now()
                await tx.execute(
                    experiments.update().where(experiments.c.key == key).values(stage=stage, updated_at=now)
                )
                # What retention is taking away stays on its way.
                its_runs = sa.and_(runs.c.experiment_key == key, runs.c.stage != EXPIRING)
                await tx.execute(runs.update().where(its_runs).values(stage=stage, updated_at=now))
            self._forget()
        return await self.of_key(ctx, key)

    def _forget(self) -> None:
        self._known.forget()
        self._changed()

    async def page(
        self, ctx: Context, *, stage: str | None = "active", cursor: str | None = None, limit: int = 50
    ) -> Page[Experiment]:
        """Return experiments, newest first; of every stage when that is None."""
        query = sa.select(experiments).where(experiments.c.project == (ctx.project or "default"))
        if stage is not None:
            query = query.where(experiments.c.stage == stage)
        if cursor:
            query = query.where(experiments.c.key < cursor_number(cursor, "key"))
        query = query.order_by(experiments.c.key.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
            tags = await self._tags(tx, [row["key"] for row in rows[:limit]])
        items = [Experiment(**row, tags=tags.get(row["key"], {})) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor({"key": items[-1].key}) if len(rows) > limit else None)

    async def search(self, ctx: Context, asked: ExperimentQuery) -> Page[Experiment]:
        """Return experiments that fit, a page of them; raise BadInput for a cursor of another search."""
        async with self._catalog.read() as tx:
            rows, more = await experiment_rows(tx, ctx.project or "default", asked)
            tags = await self._tags(tx, [row["key"] for row in rows])
        return Page(items=[Experiment(**row, tags=tags.get(row["key"], {})) for row in rows], next=more)

    async def _one(self, ctx: Context, where: list[Any], shown: str) -> Experiment:
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(experiments).where(*where))).mappings().first()
            if row is None:
                raise NotFound(
                    f"There is no experiment {shown}.", where="experiment", todo="`gimbal experiments list` shows them."
                )
            tags = await self._tags(tx, [row["key"]])
        return Experiment(**{str(name): value for name, value in row.items()}, tags=tags.get(row["key"], {}))

    async def _tags(self, tx: AsyncConnection, keys: list[int]) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for start in range(0, len(keys), _CHUNK):
            some = experiment_tags.c.experiment_key.in_(keys[start : start + _CHUNK])
            for row in (await tx.execute(sa.select(experiment_tags).where(some))).mappings():
                found.setdefault(row["experiment_key"], {})[row["name"]] = row["value"]
        return found


def _values(project: str, name: str, now: datetime) -> dict[str, Any]:
    return {
        "project": project,
        "name": name,
        "stage": "active",
        "artifact_location": "",
        "created_at": now,
        "updated_at": now,
    }


def _named(project: str, name: str) -> list[Any]:
    return [experiments.c.project == project, experiments.c.name == name]


def _checked(name: str) -> str:
    if not name.strip() or "\0" in name:
        raise BadInput("An experiment needs a name.", where="name", todo="Give it one.")
    return name


def _deleted(name: str) -> NotReady:
    return NotReady(
        f"The experiment {name!r} was deleted.",
        where="experiment",
        kept="nothing of this request",
        todo="Restore it, or use another: `gimbal experiments restore`.",
    )


async def _tag(tx: AsyncConnection, key: int, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        row = {"experiment_key": key, "name": name, "value": value}
        if not await insert_missing(tx, experiment_tags, row):
            same = (experiment_tags.c.experiment_key == key, experiment_tags.c.name == name)
            await tx.execute(experiment_tags.update().where(*same).values(value=value))
