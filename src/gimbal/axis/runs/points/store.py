"""Statements on metric points in the columns. `run_points` holds every point once; its key is the whole point.

A point that was sent twice is one: the engine merges its copies in time, and until then readers see to it.
"""

from collections.abc import Sequence
from string import Template
from typing import Literal

import pyarrow as pa

from gimbal.axis.runs.points.model import Place, Point
from gimbal.engines.storage.columns import Columns

POINTS = "run_points"
SCHEMA = pa.schema(
    [
        pa.field("project", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("step", pa.int64()),
        pa.field("at_us", pa.int64()),
        pa.field("value", pa.float64()),
    ]
)
Order = Literal["step", "time"]
"""By step, time and value, or by time, step and value."""
Steps = tuple[int, int]
"""First and last step that are asked for."""
ALL_STEPS: Steps = (-(1 << 63), (1 << 63) - 1)

_KEYS = {"step": "step, at_us, rank", "time": "at_us, step, rank"}
# As `rank_of` does it: whole numbers that sort as the values do.
_RANK = (
    "if(reinterpretAsInt64(value) >= 0, reinterpretAsInt64(value), "
    "bitXor(reinterpretAsInt64(value), toInt64(9223372036854775807)))"
)
_HISTORY = Template("""
SELECT step, at_us, value FROM (
    SELECT step, at_us, value, $RANK AS rank FROM run_points FINAL
    WHERE project = {project:String} AND run_id = {run:String} AND name = {name:String}
        AND step BETWEEN {from:Int64} AND {to:Int64}
)
$BEHIND
ORDER BY $KEY
LIMIT {limit:UInt32}
""")
_BEHIND = Template("WHERE ($KEY) > ($VALUES)")

# M4: of each cell the first and the last point and both extremes, which is all that a line of so many pixels can show.
# A run with few points has a cell for each, so that none is left out. Copies of a point change nothing here.
_CURVES = Template("""
WITH ends AS (
    SELECT run_id AS of, toFloat64(min($X)) AS low, toFloat64(max($X)) AS high, count() AS n FROM run_points
    WHERE $WHERE GROUP BY run_id
)
SELECT run_id, tupleElement(p, 1) AS step, tupleElement(p, 2) AS at_us, tupleElement(p, 3) AS value FROM (
    SELECT run_id, arrayJoin(arrayDistinct(arrayConcat([argMin(t, o), argMax(t, o)],
        if(countIf(finite) > 0, [argMinIf(t, (value, o), finite), argMaxIf(t, (value, o), finite)], [])))) AS p
    FROM (
        SELECT run_id, value, isFinite(value) AS finite, (step, at_us, value) AS t, (x, other, $RANK) AS o,
            if(n <= 4 * {cells:UInt32}, cityHash64(step, at_us, bits), toUInt64(
                least(floor((toFloat64(x) - low) / (high - low + 1) * {cells:UInt32}), toFloat64({cells:UInt32}) - 1)
            )) AS cell
        FROM (SELECT run_id, step, at_us, value, bits, $X AS x, $OTHER AS other FROM run_points WHERE $WHERE) AS points
        INNER JOIN ends ON points.run_id = ends.of
    )
    GROUP BY run_id, cell
)
ORDER BY run_id, $KEY
""")
_OF_RUNS = (
    "project = {project:String} AND run_id IN {runs:Array(String)} AND name = {name:String} "
    "AND step BETWEEN {from:Int64} AND {to:Int64}"
)
# What stood here before there was `run_points`: also in backups.
_TAKE_OVER = (
    "INSERT INTO run_points (project, run_id, name, step, at_us, value) "
    "SELECT project, run_id, name, step, at_us, value FROM run_metrics"
)
_OLD_LATEST = """
SELECT project, run_id, name, tupleElement(point, 1) AS value, tupleElement(point, 2) AS step, tupleElement(point, 3) AS at_us
FROM (
    SELECT project, run_id, name, argMaxMerge(latest) AS point FROM run_metrics_latest
    WHERE (run_id, name) > ({run:String}, {name:String}) GROUP BY project, run_id, name
)
ORDER BY run_id, name LIMIT {limit:UInt32}
"""


async def history(
    columns: Columns,
    project: str,
    run_id: str,
    name: str,
    *,
    order: Order,
    after: Place | None,
    steps: Steps,
    limit: int,
) -> list[Point]:
    """Return points of one metric behind a place."""
    behind = ""
    values: dict[str, int] = {"from": steps[0], "to": steps[1], "limit": limit}
    if after is not None:
        places = {"step": after.step, "at_us": after.at_us, "rank": after.rank}
        names = _KEYS[order].split(", ")
        behind = _BEHIND.substitute(KEY=_KEYS[order], VALUES=", ".join(f"{{after_{one}:Int64}}" for one in names))
        values |= {f"after_{one}": places[one] for one in names}
        if order == "step":
            values["from"] = max(steps[0], after.step)
    sql = _HISTORY.substitute(RANK=_RANK, BEHIND=behind, KEY=_KEYS[order])
    return _points(await columns.arrow(sql, {"project": project, "run": run_id, "name": name, **values}))


async def curves(
    columns: Columns, project: str, run_ids: Sequence[str], name: str, *, order: Order, steps: Steps, cells: int
) -> dict[str, list[Point]]:
    """Return by run at most four points for each cell of its axis, extremes among them; all points where they are few."""
    x, other = ("step", "at_us") if order == "step" else ("at_us", "step")
    key = _KEYS[order].replace("rank", "value")
    sql = _CURVES.substitute(X=x, OTHER=other, RANK=_RANK, KEY=key, WHERE=_OF_RUNS)
    found = await columns.arrow(
        sql,
        {"project": project, "runs": list(run_ids), "name": name, "from": steps[0], "to": steps[1], "cells": cells},
    )
    by_run: dict[str, list[Point]] = {}
    for run_id, point in zip(found.column("run_id").to_pylist(), _points(found), strict=True):
        by_run.setdefault(run_id, []).append(point)
    return by_run


async def take_over(columns: Columns) -> None:
    """Bring points from where they stood before into `run_points`; a second time changes nothing."""
    await columns.command(_TAKE_OVER)


async def old_points(columns: Columns) -> bool:
    """Tell whether there are points where they stood before."""
    (row,) = await columns.query(
        "SELECT (SELECT count() FROM run_metrics) + (SELECT count() FROM run_metrics_latest) AS n"
    )
    return bool(row["n"])


async def old_latest(columns: Columns, *, after: tuple[str, str], limit: int) -> list[tuple[str, str, str, Point]]:
    """Return project, run, metric and newest point as they stood before, by run and metric behind a place."""
    rows = await columns.query(_OLD_LATEST, {"run": after[0], "name": after[1], "limit": limit})
    return [
        (row["project"], row["run_id"], row["name"], Point(row["step"], row["at_us"], row["value"])) for row in rows
    ]


async def forget_old(columns: Columns) -> None:
    """Empty the tables where points stood before."""
    await columns.command("TRUNCATE TABLE run_metrics")
    await columns.command("TRUNCATE TABLE run_metrics_latest")


def _points(table: pa.Table) -> list[Point]:
    columns = (table.column(name).to_pylist() for name in ("step", "at_us", "value"))
    return list(map(Point._make, zip(*columns, strict=True)))
