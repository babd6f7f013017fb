"""Whole runs into the stores: one transaction for the runs of a request, one sync of the disk for all their points.

Runs, parameters and tags come first, then points, then the mark that all of a run is here. A request that breaks off
between is sent again: nothing doubles, and what has no mark is not taken for complete.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.imports.logged_models import put_models
from gimbal.axis.runs.imports.model import (
    DIGEST_TAG,
    ORIGIN_TAG,
    OWN_TAGS,
    Imported,
    ImportedExperiment,
    ImportedRun,
    ImportRuns,
)
from gimbal.axis.runs.inputs import DatasetInput, InputDataset, put_inputs_within
from gimbal.axis.runs.model import LogRun, check_values
from gimbal.axis.runs.points.model import PointBatch
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.store import experiment_tags, experiments, run_params, run_tags, runs
from gimbal.axis.runs.values import batch_of, put_params, put_tags
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, TooLarge
from gimbal.kernel.ids import parse_id
from gimbal.kernel.settings import Settings

_ROWS = 500
# What a second import may bring up to date; a run that was deleted here stays deleted.
_CHANGES = ("name", "status", "user", "started_at", "ended_at", "parent_id", "group", "error", "note")
_Ready = tuple[ImportedRun, PointBatch]


async def import_runs(ctx: Context, body: ImportRuns) -> list[Imported]:
    """Store runs and models, each whole or not at all; return what became of each. What is answered is durable.

    Raise TooLarge for more points than one request may have.
    """
    _check_points(ctx, body.runs)
    good: dict[str, _Ready] = {}
    outcomes: dict[str, Imported] = {}
    for one in body.runs:
        try:
            run_id = parse_id(one.id)
            if run_id in good:
                raise BadInput("The run stands in this request twice.", where="id", todo="Send it once.")
            good[run_id] = (_checked(ctx, one, run_id), _points(one, ctx.now()))
        except GimbalError as problem:
            outcomes[one.id] = _refused(one.id, problem)
    catalog = ctx.get(Catalog)
    async with catalog.write(ctx) as tx:
        named = {one.experiment for one, _ in good.values()} | {one.experiment for one in body.models}
        keys = await _experiments(ctx, tx, body.experiments, named)
        rows = await _put(ctx, tx, good, keys, outcomes)
    desk = ctx.get(Runs).desk
    for run_id in rows:
        desk.forget(run_id)
    put = ctx.get(Points).put
    await asyncio.gather(*(put(row, good[run_id][1]) for run_id, row in rows.items()))
    outcomes |= {one.id: one for one in await put_models(ctx, body.models, keys)}
    await _mark(
        ctx, {run_id: digest for run_id, digest in body.done.items() if run_id not in outcomes or run_id in rows}
    )
    return list(outcomes.values())


def _check_points(ctx: Context, given: Sequence[ImportedRun]) -> None:
    points = sum(len(one.columns.index) for one in given if one.columns is not None)
    most = ctx.get(Settings).limits.metrics_per_request
    if points > most:
        raise TooLarge(
            f"{points} points in one request; {most} is the most.",
            where="runs",
            kept="nothing of this request",
            todo="Send several requests.",
        )


def _checked(ctx: Context, one: ImportedRun, run_id: str) -> ImportedRun:
    check_values(one.params, one.tags, most_params=ctx.get(Settings).limits.params_per_run)
    parent = parse_id(one.parent_id, "parent_id") if one.parent_id else None
    for moment in (one.started_at, one.ended_at):
        if moment is not None:
            to_us(moment)
    # What another import noted of it elsewhere says nothing here.
    tags = {name: value for name, value in one.tags.items() if name not in OWN_TAGS}
    return msgspec.structs.replace(one, id=run_id, parent_id=parent, tags=tags)


def _points(one: ImportedRun, now: datetime) -> PointBatch:
    return batch_of(LogRun(columns=one.columns), to_us(now))


def _refused(run_id: str, problem: GimbalError) -> Imported:
    where = f" (at {problem.where})" if problem.where else ""
    return Imported(id=run_id, outcome="refused", problem=f"{problem.message}{where}")


async def _experiments(
    ctx: Context, tx: AsyncConnection, told: Sequence[ImportedExperiment], named: set[str]
) -> dict[str, int]:
    """Return the keys of experiments, also of deleted ones; those that are missing are made."""
    project, now = ctx.project or "default", ctx.now()
    described = {name: ImportedExperiment(name=name) for name in named} | {one.name: one for one in told}
    for name in sorted(described):
        one = described[name]
        created = one.created_at or now
        values = {"project": project, "name": name, "stage": one.stage, "artifact_location": ""}
        values |= {"created_at": created, "updated_at": one.updated_at or created}
        await insert_missing(tx, experiments, values)
    mine = (experiments.c.project == project, experiments.c.name.in_(list(described)))
    query = sa.select(experiments.c.name, experiments.c.key).where(*mine)
    keys: dict[str, int] = {row.name: row.key for row in await tx.execute(query)}
    for one in told:
        for tag, value in sorted(one.tags.items()):
            row = {"experiment_key": keys[one.name], "name": tag, "value": value}
            await insert_missing(tx, experiment_tags, row)
    return keys


async def _put(
    ctx: Context,
    tx: AsyncConnection,
    good: Mapping[str, _Ready],
    keys: Mapping[str, int],
    outcomes: dict[str, Imported],
) -> dict[str, RunRow]:
    """Insert what is new and add to what is there; note the outcome of each, return the rows of those not refused."""
    made: dict[str, int] = {}
    values = [_values(ctx, one, keys[one.experiment]) for one, _ in good.values()]
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(values), _ROWS):
        statement = insert(runs).values(values[start : start + _ROWS])
        found = await tx.execute(statement.on_conflict_do_nothing().returning(runs.c.id, runs.c.key))
        made |= {row.id: row.key for row in found}
    await _fill(tx, [(good[run_id][0], key) for run_id, key in made.items()])
    rows: dict[str, RunRow] = {}
    there = await _there(tx, [run_id for run_id in good if run_id not in made])
    for run_id, (one, _) in good.items():
        experiment = keys[one.experiment]
        try:
            if (key := made.get(run_id)) is None:
                key, experiment = await _add(ctx, tx, one, there[run_id])
                outcomes[run_id] = Imported(id=run_id, outcome="added")
            else:
                outcomes[run_id] = Imported(id=run_id, outcome="created")
        except GimbalError as problem:
            outcomes[run_id] = _refused(run_id, problem)
            continue
        rows[run_id] = RunRow(**_values(ctx, one, experiment), key=key, experiment=one.experiment)
        if one.datasets:
            await put_inputs_within(tx, rows[run_id], [_dataset(each) for each in one.datasets])
    return rows


def _values(ctx: Context, one: ImportedRun, experiment: int) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _CHANGES} | {
        "id": one.id,
        "project": ctx.project or "default",
        "experiment_key": experiment,
        "stage": one.stage,
        "updated_at": one.ended_at or one.started_at,
        "created_by": ctx.principal.name,
        "beat_at": None,
        "beat_s": None,
    }


async def _fill(tx: AsyncConnection, new: Sequence[tuple[ImportedRun, int]]) -> None:
    params = [
        {"run_key": key, "name": name, "value": msgspec.json.encode(value).decode()}
        for one, key in new
        for name, value in one.params.items()
    ]
    tags = [
        {"run_key": key, "name": name, "value": value}
        for one, key in new
        for name, value in {**one.tags, ORIGIN_TAG: one.origin}.items()
    ]
    for table, values in ((run_params, params), (run_tags, tags)):
        if values:
            await tx.execute(table.insert(), values)


async def _there(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Any]:
    """Return by id the runs that are there, with where they came from."""
    origin = sa.and_(run_tags.c.run_key == runs.c.key, run_tags.c.name == ORIGIN_TAG)
    columns = (runs.c.id, runs.c.key, runs.c.project, runs.c.experiment_key, run_tags.c.value.label("origin"))
    query = sa.select(*columns).select_from(runs.outerjoin(run_tags, origin)).where(runs.c.id.in_(ids))
    return {row.id: row for row in await tx.execute(query)} if ids else {}


async def _add(ctx: Context, tx: AsyncConnection, one: ImportedRun, there: Any) -> tuple[int, int]:
    """Add what is new to a run that is there; raise Conflict for one that came from elsewhere, or has other parameters."""
    if there.project != (ctx.project or "default"):
        # Which one is nobody's business here.
        raise Conflict("Another project has a run with this id.", where="id")
    if there.origin != one.origin:
        whose = f"came from {there.origin!r}" if there.origin else "was not imported"
        raise Conflict(f"There is a run with this id already, which {whose}.", where="id")
    async with tx.begin_nested():
        values = {name: getattr(one, name) for name in _CHANGES} | {"updated_at": ctx.now()}
        if one.stage == "deleted":
            values["stage"] = "deleted"
        await tx.execute(runs.update().where(runs.c.key == there.key).values(values))
        await put_params(tx, there.key, one.params, most=ctx.get(Settings).limits.params_per_run)
        await put_tags(tx, there.key, one.tags)
    return there.key, there.experiment_key


def _dataset(one: Any) -> DatasetInput:
    told = {name: getattr(one, name) for name in InputDataset.__struct_fields__}
    return DatasetInput(dataset=InputDataset(**told), tags=one.tags)


async def _mark(ctx: Context, done: Mapping[str, str]) -> None:
    """Note that all of these runs is here."""
    if not done:
        return
    ids = {parse_id(run_id): digest for run_id, digest in done.items()}
    catalog = ctx.get(Catalog)
    insert = postgresql.insert if catalog.dialect == "postgresql" else sqlite.insert
    mine = (runs.c.project == (ctx.project or "default"), runs.c.id.in_(list(ids)))
    async with catalog.write(ctx) as tx:
        known = list(await tx.execute(sa.select(runs.c.id, runs.c.key).where(*mine)))
        rows = [{"run_key": key, "name": DIGEST_TAG, "value": ids[run_id]} for run_id, key in known]
        statement = insert(run_tags)
        statement = statement.on_conflict_do_update(
            index_elements=[run_tags.c.run_key, run_tags.c.name], set_={"value": statement.excluded.value}
        )
        if rows:
            await tx.execute(statement, rows)
