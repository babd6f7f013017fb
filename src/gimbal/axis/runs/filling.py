"""Rows of runs made whole with what was logged: a few questions for a whole page, however many runs are on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.runs import of_runs
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import MetricValue, Run, RunInfo, to_wire
from gimbal.axis.runs.points.model import Point
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.store import run_params, run_tags
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context

# Made once: to put a statement together takes longer than SQLite needs for its answer.
_PARAMS = sa.select(run_params).where(Among(run_params.c.run_key))
_TAGS = sa.select(run_tags).where(Among(run_tags.c.run_key))
_OWN = frozenset({"key", "experiment_key", "beat_at", "beat_s"})


async def filled(catalog: Catalog, points: Points, ctx: Context, rows: Sequence[RunRow]) -> list[Run]:
    """Return rows of the context's project as records."""
    if not rows:
        return []
    async with catalog.read() as tx:
        params, tags = await values_of(tx, [row.key for row in rows])
    metrics = await points.latest(rows)
    inputs, outputs = await of_runs(catalog, ctx, [row.id for row in rows])
    return [
        Run(
            **_shared(row),
            params=dict(params.get(row.key, {})),
            tags=dict(tags.get(row.key, {})),
            metrics=_shown(metrics.get(row.id, {})),
            inputs=inputs.get(row.id, []),
            outputs=outputs.get(row.id, []),
        )
        for row in rows
    ]


def info_of(row: RunRow) -> RunInfo:
    """Return a row as a record, without what was logged: nothing is asked for that."""
    return RunInfo(**_shared(row))


async def values_of(
    tx: AsyncConnection, keys: Sequence[int]
) -> tuple[Mapping[int, Mapping[str, Any]], Mapping[int, Mapping[str, str]]]:
    """Return the parameters and the tags of runs by their keys."""
    params: dict[int, dict[str, Any]] = {}
    tags: dict[int, dict[str, str]] = {}
    for key, name, value in (await tx.execute(_PARAMS, {"keys": keys})).all():
        params.setdefault(key, {})[name] = msgspec.json.decode(value)
    for key, name, value in (await tx.execute(_TAGS, {"keys": keys})).all():
        tags.setdefault(key, {})[name] = value
    return params, tags


def _shared(row: RunRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in RunRow.__struct_fields__ if name not in _OWN}


def _shown(metrics: Mapping[str, Point]) -> dict[str, MetricValue]:
    return {name: to_wire(metrics[name].value) for name in sorted(metrics)}
