"""The verbs of logged models: make one, end its upload, tag it, measure it, find it."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.candidates.model import (
    LoggedModel,
    ModelMetric,
    ModelQuery,
    NewModel,
    Status,
    check_model_id,
    check_model_name,
    check_texts,
    made_up_name,
    new_model_id,
)
from gimbal.axis.runs.candidates.search import COLUMNS, WITH_EXPERIMENT, model_rows
from gimbal.axis.runs.candidates.store import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
    run_models,
)
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.experiments.service import Experiments
from gimbal.axis.runs.model import to_wire
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotFound, NotReady
from gimbal.kernel.pages import Page

Role = Literal["input", "output"]
MAX_TAG = 100_000
_CHUNK = 500
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_LINKED = (
    sa.select(run_models.c.run_key, run_models.c.role, logged_models.c.id, run_models.c.step)
    .join(logged_models, logged_models.c.key == run_models.c.model_key)
    .where(Among(run_models.c.run_key))
    .order_by(logged_models.c.key)
)


class LoggedModels:
    """Logged models on the catalog; their files are artifacts of the owner `model`."""

    def __init__(self, catalog: Catalog, experiments: Experiments) -> None:
        self._catalog = catalog
        self._experiments = experiments

    async def create(self, ctx: Context, new: NewModel) -> LoggedModel:
        """Make a model whose files will come; raise NotFound or NotReady for an experiment that cannot take it."""
        name = check_model_name(new.name) if new.name else made_up_name()
        check_texts("params", new.params)
        check_texts("tags", new.tags, MAX_TAG)
        experiment = await self._experiments.of_key(ctx, new.experiment_key)
        if experiment.stage != "active":
            raise NotReady(
                f"The experiment {experiment.name!r} was deleted; it must be in the 'active' state.",
                where="experiment_id",
                kept="nothing",
                todo="Restore it, or use another.",
            )
        now, model_id = _to_ms(ctx.now()), new_model_id()
        values = {
            "id": model_id,
            "project": _project(ctx),
            "experiment_key": experiment.key,
            "name": name,
            "model_type": new.model_type,
            "status": "pending",
            "stage": "active",
            "source_run_id": new.source_run_id,
            "created_at": now,
            "updated_at": now,
        }
        async with self._catalog.write(ctx) as tx:
            await tx.execute(logged_models.insert().values(**values))
            key = (await tx.execute(sa.select(logged_models.c.key).where(logged_models.c.id == model_id))).scalar_one()
            await _put_params(tx, key, new.params)
            await _put_tags(tx, key, new.tags)
        return await self.get(ctx, model_id)

    async def get(self, ctx: Context, model_id: str, *, deleted: bool = False) -> LoggedModel:
        """Return a model; raise NotFound, also for one that was deleted unless those are asked for."""
        query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT)
        query = query.where(logged_models.c.project == _project(ctx), logged_models.c.id == model_id)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
            if row is None or (row["stage"] != "active" and not deleted):
                raise NotFound(
                    f"Logged model with ID '{model_id[:80]}' not found.",
                    where="model_id",
                    todo="Search for logged models to see them.",
                )
            return (await _filled(tx, [row]))[0]

    async def finish(self, ctx: Context, model_id: str, status: Status) -> LoggedModel:
        """Say that its files are there, or did not come."""
        found = await self.get(ctx, check_model_id(model_id))
        await self._change(ctx, found.key, status=status)
        return await self.get(ctx, model_id)

    async def delete(self, ctx: Context, model_id: str) -> None:
        """Take a model out of searches; its files stay, and versions that were made of it."""
        found = await self.get(ctx, check_model_id(model_id))
        await self._change(ctx, found.key, stage="deleted")

    async def put_params(self, ctx: Context, model_id: str, params: Mapping[str, str]) -> None:
        """Add parameters; raise Conflict for one that is there with another value."""
        check_texts("params", dict(params))
        found = await self.get(ctx, check_model_id(model_id))
        async with self._catalog.write(ctx) as tx:
            await _put_params(tx, found.key, params)

    async def put_tags(self, ctx: Context, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; the last value stays."""
        check_texts("tags", dict(tags), MAX_TAG)
        found = await self.get(ctx, check_model_id(model_id))
        async with self._catalog.write(ctx) as tx:
            await _put_tags(tx, found.key, tags)

    async def remove_tag(self, ctx: Context, model_id: str, tag: str) -> None:
        """Take a tag away; raise NotFound where there is none."""
        found = await self.get(ctx, check_model_id(model_id))
        async with self._catalog.write(ctx) as tx:
            same = (logged_model_tags.c.model_key == found.key, logged_model_tags.c.name == tag)
            if not (await tx.execute(logged_model_tags.delete().where(*same))).rowcount:
                raise NotFound(
                    f"No tag with key {tag!r} for model with ID {model_id!r}.",
                    where="tag_key",
                    todo="Nothing to remove.",
                )

    async def measured(self, ctx: Context, metrics: Mapping[str, Sequence[ModelMetric]]) -> None:
        """Keep the newest points of metrics by the ids of the models that they are of; raise NotFound for a model."""
        rows: list[tuple[int, ModelMetric]] = []
        for model_id, points in metrics.items():
            found = await self.get(ctx, check_model_id(model_id))
            rows += [(found.key, point) for point in points]
        async with self._catalog.write(ctx) as tx:
            for key, point in rows:
                await _measure(tx, key, point)

    async def link(self, ctx: Context, run: RunRow, role: Role, models: Sequence[tuple[str, int]]) -> None:
        """Note that a run read (`input`) or made (`output`) models, each at a step; a second time changes nothing."""
        found = [((await self.get(ctx, check_model_id(model_id))).key, step) for model_id, step in models]
        async with self._catalog.write(ctx) as tx:
            for key, step in found:
                row = {"run_key": run.key, "model_key": key, "role": role, "step": step}
                await insert_missing(tx, run_models, row)

    async def search(self, ctx: Context, asked: ModelQuery) -> Page[LoggedModel]:
        """Return models that fit, a page of them; raise BadInput for a cursor of another search."""
        if not asked.experiments:
            return Page(items=[])
        async with self._catalog.read() as tx:
            rows, more = await model_rows(tx, _project(ctx), asked)
            return Page(items=await _filled(tx, rows), next=more)

    async def _change(self, ctx: Context, key: int, **values: Any) -> None:
        async with self._catalog.write(ctx) as tx:
            changed = logged_models.update().where(logged_models.c.key == key)
            await tx.execute(changed.values(updated_at=_to_ms(ctx.now()), **values))


def _project(ctx: Context) -> str:
    return ctx.project or "default"


def _to_ms(at: datetime) -> datetime:
    """Return a time as clients ask for it again: they know milliseconds only."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


async def linked_models(tx: AsyncConnection, run_keys: Sequence[int]) -> dict[int, dict[Role, list[tuple[str, int]]]]:
    """Return, by the keys of runs, ids and steps of the models that they read and made."""
    found: dict[int, dict[Role, list[tuple[str, int]]]] = {}
    for run_key, role, model_id, step in (await tx.execute(_LINKED, {"keys": run_keys})).all():
        found.setdefault(run_key, {}).setdefault(role, []).append((model_id, step))
    return found


async def _put_params(tx: AsyncConnection, key: int, params: Mapping[str, str]) -> None:
    for name in sorted(params):
        if await insert_missing(tx, logged_model_params, {"model_key": key, "name": name, "value": params[name]}):
            continue
        same = (logged_model_params.c.model_key == key, logged_model_params.c.name == name)
        known = (await tx.execute(sa.select(logged_model_params.c.value).where(*same))).scalar_one()
        if known != params[name]:
            raise Conflict(
                f"Changing param values is not allowed: {name!r} is {known[:100]!r} already.",
                where=f"params.{name}",
                kept="nothing of this request",
                todo="Use another name, or a tag: tags may change.",
            )


async def _put_tags(tx: AsyncConnection, key: int, tags: Mapping[str, str]) -> None:
    for name in sorted(tags):
        if not await insert_missing(tx, logged_model_tags, {"model_key": key, "name": name, "value": tags[name]}):
            same = (logged_model_tags.c.model_key == key, logged_model_tags.c.name == name)
            await tx.execute(logged_model_tags.update().where(*same).values(value=tags[name]))


async def _measure(tx: AsyncConnection, key: int, point: ModelMetric) -> None:
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    value = float(point.value)
    row = {
        "model_key": key,
        "name": point.name,
        "dataset_name": point.dataset_name,
        "dataset_digest": point.dataset_digest,
        "run_id": point.run_id,
        "value": None if math.isnan(value) else value,
        "step": point.step,
        "at_us": to_us(point.at),
    }
    statement = insert(logged_model_metrics).values(**row)
    new, old = statement.excluded, logged_model_metrics.c
    later = sa.tuple_(new.step, new.at_us) >= sa.tuple_(old.step, old.at_us)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=list(logged_model_metrics.primary_key.columns),
            set_={name: new[name] for name in ("run_id", "value", "step", "at_us")},
            where=later,
        )
    )


async def _filled(tx: AsyncConnection, rows: Sequence[Mapping[Any, Any]]) -> list[LoggedModel]:
    params: dict[int, dict[str, str]] = {}
    tags: dict[int, dict[str, str]] = {}
    metrics: dict[int, list[ModelMetric]] = {}
    keys = [row["key"] for row in rows]
    for start in range(0, len(keys), _CHUNK):
        some = keys[start : start + _CHUNK]
        for table, found in ((logged_model_params, params), (logged_model_tags, tags)):
            for key, name, value in await tx.execute(sa.select(table).where(table.c.model_key.in_(some))):
                found.setdefault(key, {})[name] = value
        query = sa.select(logged_model_metrics).where(logged_model_metrics.c.model_key.in_(some))
        for row in (await tx.execute(query)).mappings():
            metrics.setdefault(row["model_key"], []).append(_metric(row))
    return [
        LoggedModel(
            **{str(name): value for name, value in row.items()},
            params=params.get(row["key"], {}),
            tags=tags.get(row["key"], {}),
            metrics=metrics.get(row["key"], []),
        )
        for row in rows
    ]


def _metric(row: Mapping[Any, Any]) -> ModelMetric:
    value = math.nan if row["value"] is None else row["value"]
    return ModelMetric(
        name=row["name"],
        value=to_wire(value),
        step=row["step"],
        at=from_us(row["at_us"]),
        run_id=row["run_id"],
        dataset_name=row["dataset_name"],
        dataset_digest=row["dataset_digest"],
    )
