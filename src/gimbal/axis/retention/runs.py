"""Runs, logged models and experiments that were deleted: after their term they go for good, with all that was logged.

What something else names stays: a run, or a logged model, of which a version was made (versions never change, and say where
they are from), and a run that is a trial of a study that is still there. Bytes of files go with the blobs that nothing refers
to any more. What goes is marked first, in one transaction with the question whether it may: from then on it cannot be restored,
so that no run comes back without its points.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.registry.store import version_notes
from gimbal.axis.assets.store import uses, versions
from gimbal.axis.retention.classes import DELETED_RUNS
from gimbal.axis.retention.model import ClassState, TableProof, plain
from gimbal.axis.retention.rewriting import Before, Rewriting
from gimbal.axis.runs.candidates.store import (
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
    run_models,
)
from gimbal.axis.runs.store import (
    EXPIRING,
    artifact_files,
    experiment_tags,
    experiments,
    input_datasets,
    run_datasets,
    run_latest,
    run_params,
    run_tags,
    runs,
    uploads,
)
from gimbal.engines.storage.catalog import Catalog, metadata

T = TypeVar("T")
MOST = 20_000
"""Runs that one day takes; more of them wait for the next."""
_AT_ONCE = 2_000
_CHUNK = 500
_OF_RUN = (run_params, run_tags, run_latest, run_datasets, run_models)
_OF_MODEL = (logged_model_params, logged_model_tags, logged_model_metrics)
# Column tables with what is a run's, and the test which rows are.
_COLUMNS = {
    "metric_points": "run_id IN {ids:Array(String)}",
    "run_points": "run_id IN {ids:Array(String)}",
    "run_metrics": "run_id IN {ids:Array(String)}",
    "run_metrics_latest": "run_id IN {ids:Array(String)}",
    "scores": "target_kind = 'run' AND target_id IN {ids:Array(String)}",
}

_Once = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class DeletedRuns:
    """Takes what was deleted for good, and counts it."""

    def __init__(self, catalog: Catalog, rewriting: Rewriting) -> None:
        self._catalog = catalog
        self._rewriting = rewriting

    async def state(self, project: str, upto: datetime | None) -> ClassState:
        """Return how many deleted runs there are, and how many of them were deleted before a moment and may go."""
        mine = sa.and_(runs.c.project == project, runs.c.stage.in_(("deleted", EXPIRING)))
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(sa.func.count(), sa.func.min(runs.c.updated_at)).where(mine))).one()
            due = 0
            if upto is not None:
                counted = sa.select(sa.func.count()).select_from(runs).where(*_due(project, upto))
                due = int((await tx.execute(counted)).scalar_one())
        return ClassState(
            name=DELETED_RUNS.name, meaning=DELETED_RUNS.meaning, keep_days=None, rows=row[0], bytes=0, oldest=row[1], due=due
        )  # fmt: skip

    async def expire(self, project: str, upto: datetime, once: _Once) -> tuple[int, list[TableProof]]:
        """Take what was deleted before a moment; return how many runs, and what became of the column tables."""

        async def due() -> list[str]:
            async with self._catalog.read() as tx:
                query = sa.select(runs.c.id).where(*_due(project, upto)).order_by(runs.c.key).limit(MOST)
                return list((await tx.execute(query)).scalars())

        # Those of the first attempt: one that was cut off goes on with them.
        ids: list[str] = await once(f"{DELETED_RUNS.name}:ids", due)
        proofs: list[TableProof] = []
        for some in _parts(ids, _AT_ONCE):
            proofs += await self._columns_of(project, await self._marked(project, upto, some), once)
        for some in _parts(ids, _CHUNK):
            async with self._catalog.write() as tx:
                await _remove_runs(tx, project, some)
        await self._leftovers(project, upto)
        return len(ids), proofs

    async def _marked(self, project: str, upto: datetime, ids: Sequence[str]) -> list[str]:
        """Mark those that may go yet, and return them: one that was restored meanwhile keeps its points."""
        found: set[str] = set()
        async with self._catalog.write() as tx:
            for some in _parts(ids, _CHUNK):
                going = runs.update().where(runs.c.id.in_(some), *_due(project, upto)).values(stage=EXPIRING)
                found.update((await tx.execute(going.returning(runs.c.id))).scalars())
        return [one for one in ids if one in found]

    async def _columns_of(self, project: str, ids: Sequence[str], once: _Once) -> list[TableProof]:
        """Take points and scores of runs. They go first: a run whose row is there yet is found again."""
        found: list[TableProof] = []
        there = await self._rewriting.tables() if ids else set[str]()
        values = {"project": project, "ids": list(ids)}
        for table, test in _COLUMNS.items():
            if table not in there:
                continue
            condition = f"project = {{project:String}} AND {test}"

            async def before(table: str = table, condition: str = condition) -> Any:
                return plain(await self._rewriting.before(table, condition, values))

            said = await once(f"{DELETED_RUNS.name}:{table}:{ids[0]}", before)
            known = msgspec.convert(said, Before)
            if known.rows:
                found.append(await self._rewriting.rewrite(table, "DELETE", condition, values, known))
        return found

    async def _leftovers(self, project: str, upto: datetime) -> None:
        """Take logged models that were deleted alone, then experiments with nothing in them."""
        gone = sa.and_(
            logged_models.c.project == project, logged_models.c.stage == "deleted", logged_models.c.updated_at < upto
        )
        async with self._catalog.write() as tx:
            await _remove_models(tx, gone)
            old = sa.and_(
                experiments.c.project == project, experiments.c.stage == "deleted", experiments.c.updated_at < upto
            )
            unused = [
                ~sa.exists().where(column == experiments.c.key)
                for column in _referring(experiments.c.key)
                if column.table not in {experiment_tags, input_datasets}
            ]
            keys = list((await tx.execute(sa.select(experiments.c.key).where(old, *unused))).scalars())
            for some in _parts(keys, _CHUNK):
                for table in (experiment_tags, input_datasets):
                    await tx.execute(table.delete().where(table.c.experiment_key.in_(some)))
                await tx.execute(experiments.delete().where(experiments.c.key.in_(some)))


def _due(project: str, upto: datetime) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of runs that may go; one that an earlier attempt marked is past its term."""
    past = sa.and_(runs.c.stage == "deleted", runs.c.updated_at < upto)
    return [runs.c.project == project, sa.or_(past, runs.c.stage == EXPIRING), *_unnamed()]


def _unnamed() -> list[sa.ColumnElement[bool]]:
    """Return the conditions of runs that nothing names."""
    others = [column for column in _referring(runs.c.key) if column.table not in _OF_RUN]
    return [
        ~sa.exists().where(versions.c.run_id == runs.c.id),
        ~sa.exists().where(version_notes.c.run_id == runs.c.id),
        *(~sa.exists().where(column == runs.c.key) for column in others),
    ]


def _referring(key: sa.Column[Any]) -> Iterator[sa.Column[Any]]:
    """Return the columns of all tables that refer to a key."""
    for table in metadata.sorted_tables:
        for reference in table.foreign_keys:
            if reference.column is key:
                yield reference.parent


async def _remove_runs(tx: AsyncConnection, project: str, ids: Sequence[str]) -> None:
    """Remove rows of runs that are marked."""
    mine = (runs.c.project == project, runs.c.stage == EXPIRING)
    query = sa.select(runs.c.key, runs.c.id).where(runs.c.id.in_(ids), *mine, *_unnamed())
    found = {row.key: row.id for row in await tx.execute(query)}
    keys, gone = list(found), list(found.values())
    made = logged_models.c.source_run_id.in_(gone)
    await _remove_models(tx, made)
    await tx.execute(logged_models.update().where(made).values(source_run_id=None))
    await tx.execute(logged_model_metrics.delete().where(logged_model_metrics.c.run_id.in_(gone)))
    await _remove_files(tx, "run", gone)
    await tx.execute(
        uses.delete().where(uses.c.project == project, uses.c.user_kind == "run", uses.c.user_id.in_(gone))
    )
    await tx.execute(runs.update().where(runs.c.parent_id.in_(gone)).values(parent_id=None))
    for table in _OF_RUN:
        await tx.execute(table.delete().where(table.c.run_key.in_(keys)))
    await tx.execute(runs.delete().where(runs.c.key.in_(keys)))
    # Datasets that no run has read: their schemas and profiles were these runs'.
    unread = ~sa.exists().where(run_datasets.c.dataset_key == input_datasets.c.key)
    here = sa.select(experiments.c.key).where(experiments.c.project == project)
    await tx.execute(input_datasets.delete().where(unread, input_datasets.c.experiment_key.in_(here)))


async def _remove_models(tx: AsyncConnection, which: sa.ColumnElement[bool]) -> None:
    """Remove logged models of which no version was made."""
    registered = sa.exists().where(version_notes.c.model_id == logged_models.c.id)
    query = sa.select(logged_models.c.key, logged_models.c.id).where(which, ~registered)
    found = {row.key: row.id for row in await tx.execute(query)}
    for some in _parts(list(found), _CHUNK):
        for table in (*_OF_MODEL, run_models):
            await tx.execute(table.delete().where(table.c.model_key.in_(some)))
        await tx.execute(logged_models.delete().where(logged_models.c.key.in_(some)))
        await _remove_files(tx, "model", [found[key] for key in some])


async def _remove_files(tx: AsyncConnection, owner: str, ids: Sequence[str]) -> None:
    for table in (artifact_files, uploads):
        await tx.execute(table.delete().where(table.c.owner == owner, table.c.owner_id.in_(ids)))


def _parts(of: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(of), size):
        yield list(of[start : start + size])
