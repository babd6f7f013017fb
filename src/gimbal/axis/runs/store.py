"""Tables of runs in the catalog, and the statements on metric points in the columns.

`run_metrics` holds every point; `run_metrics_latest` follows it inside the columns and holds the newest per metric,
so a list of runs costs the same however long their histories are.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from gimbal.engines.storage.catalog import Utc, metadata
from gimbal.engines.storage.columns import Columns

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("experiment", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    # Lists are newest first; ids are UUIDv7, so the id is the time.
    sa.Index("ix_runs_project_id", "project", "id"),
    sa.Index("ix_runs_project_experiment_id", "project", "experiment", "id"),
    sa.Index("ix_runs_project_status_id", "project", "status", "id"),
)

run_params = sa.Table(
    "run_params",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    # JSON text rather than Json: a number keeps the form in which it was given, so that "the same" can be told.
    sa.Column("value", sa.Text, nullable=False),
)

run_tags = sa.Table(
    "run_tags",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

run_artifacts = sa.Table(
    "run_artifacts",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
)

METRICS = "run_metrics"

POINTS = pa.schema(
    [
        pa.field("project", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("step", pa.int64()),
        pa.field("at_us", pa.int64()),
        pa.field("value", pa.float64()),
    ]
)

_LATEST = """
SELECT run_id, name, tupleElement(point, 1) AS value, tupleElement(point, 2) AS step, tupleElement(point, 3) AS at_us
FROM (
    SELECT run_id, name, argMaxMerge(latest) AS point
    FROM run_metrics_latest
    WHERE project = {project:String} AND run_id IN {runs:Array(String)}
    GROUP BY run_id, name
)
ORDER BY run_id, name
"""

_HISTORY = """
SELECT step, at_us, value FROM run_metrics FINAL
WHERE project = {project:String} AND run_id = {run:String} AND name = {name:String}
    AND (step, at_us) > ({after_step:Int64}, {after_us:Int64})
ORDER BY step, at_us
LIMIT {limit:UInt32}
"""

# Every point of the nearest grid cell's last step: a curve of a million points becomes at most `cells`.
_CURVE = """
SELECT step, at_us, value FROM (
    SELECT step, at_us, value, row_number() OVER (PARTITION BY cell ORDER BY step DESC, at_us DESC) AS rank
    FROM (
        SELECT step, at_us, value,
            intDiv((row_number() OVER (ORDER BY step, at_us) - 1) * {cells:UInt32}, count() OVER ()) AS cell
        FROM run_metrics FINAL
        WHERE project = {project:String} AND run_id = {run:String} AND name = {name:String}
    )
)
WHERE rank = 1
ORDER BY step, at_us
"""


async def latest(columns: Columns, project: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the newest point of every metric of these runs: run_id, name, value, step, at_us."""
    if not run_ids:
        return []
    return await columns.query(_LATEST, {"project": project, "runs": list(run_ids)})


async def history(
    columns: Columns, project: str, run_id: str, name: str, *, after: tuple[int, int], limit: int
) -> list[dict[str, Any]]:
    """Return the points of one metric behind the place (step, at_us), by step and time."""
    return await columns.query(
        _HISTORY,
        {
            "project": project,
            "run": run_id,
            "name": name,
            "after_step": after[0],
            "after_us": after[1],
            "limit": limit,
        },
    )


async def curve(columns: Columns, project: str, run_id: str, name: str, cells: int) -> list[dict[str, Any]]:
    """Return at most `cells` points of one metric, evenly spread over its history, the last one among them."""
    return await columns.query(_CURVE, {"project": project, "run": run_id, "name": name, "cells": cells})
