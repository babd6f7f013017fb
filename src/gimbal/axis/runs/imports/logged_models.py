"""Logged models that come with their ids; runs that they name have come before."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.candidates.model import ModelMetric, check_model_id, check_model_name, check_texts
from gimbal.axis.runs.candidates.service import MAX_TAG, LoggedModels
from gimbal.axis.runs.candidates.store import logged_model_params, logged_model_tags, logged_models, run_models
from gimbal.axis.runs.imports.model import Imported, ImportedModel
from gimbal.axis.runs.store import runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, GimbalError
from gimbal.kernel.ids import parse_id


async def put_models(ctx: Context, given: Sequence[ImportedModel], keys: Mapping[str, int]) -> list[Imported]:
    """Store models by their ids, in the experiments whose keys are given; one that is there is left as it is."""
    return [await _put(ctx, one, keys[one.experiment]) for one in given]


async def _put(ctx: Context, one: ImportedModel, experiment: int) -> Imported:
    project = ctx.project or "default"
    values = {
        "id": one.id,
        "project": project,
        "experiment_key": experiment,
        "name": one.name,
        "model_type": one.model_type,
        "status": one.status,
        "stage": "active",
        "source_run_id": parse_id(one.source_run_id) if one.source_run_id else None,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }
    try:
        check_model_id(one.id)
        check_model_name(one.name)
        check_texts("params", one.params)
        check_texts("tags", one.tags, MAX_TAG)
        async with ctx.get(Catalog).write(ctx) as tx:
            made = await insert_missing(tx, logged_models, values)
            query = sa.select(logged_models.c.key, logged_models.c.project).where(logged_models.c.id == one.id)
            row = (await tx.execute(query)).one()
            if row.project != project:
                raise Conflict("Another project has a model with this id.", where="id")
            if made:
                await _texts(tx, row.key, one)
            await _links(tx, project, row.key, one)
        # Also for one that is there: an import may have been killed before this. What is newer here stays.
        if one.metrics:
            await ctx.get(LoggedModels).measured(ctx, {one.id: [_metric(point) for point in one.metrics]})
    except GimbalError as problem:
        return Imported(id=one.id, outcome="refused", problem=problem.message)
    return Imported(id=one.id, outcome="created" if made else "added")


async def _texts(tx: AsyncConnection, key: int, one: ImportedModel) -> None:
    for table, texts in ((logged_model_params, one.params), (logged_model_tags, one.tags)):
        rows = [{"model_key": key, "name": name, "value": value} for name, value in texts.items()]
        if rows:
            await tx.execute(table.insert(), rows)


async def _links(tx: AsyncConnection, project: str, key: int, one: ImportedModel) -> None:
    """Note which runs read and made the model; a run that is not here is left out."""
    told = [(run_id, "output", step) for run_id, step in one.made_by.items()]
    told += [(run_id, "input", 0) for run_id in one.read_by]
    ids = {parse_id(run_id) for run_id, _, _ in told}
    query = sa.select(runs.c.id, runs.c.key).where(runs.c.project == project, runs.c.id.in_(list(ids)))
    known = {row.id: row.key for row in await tx.execute(query)} if ids else {}
    for run_id, role, step in told:
        if (run_key := known.get(parse_id(run_id))) is not None:
            await insert_missing(tx, run_models, {"run_key": run_key, "model_key": key, "role": role, "step": step})


def _metric(point: object) -> ModelMetric:
    return ModelMetric(**{name: getattr(point, name) for name in ModelMetric.__struct_fields__})
