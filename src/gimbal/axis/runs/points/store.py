"""Statements on metric points in the columns. `metric_points` holds every point once; its key is the whole point.

A point that was sent twice is one: the engine merges its copies in time, and until then readers see to it.
"""

import asyncio
import struct
from collections.abc import Sequence
from string import Template
from typing import Any, Literal

import pyarrow as pa

from gimbal.axis.runs.points.model import Place, Point
from gimbal.axis.runs.points.thinning import Thinner
from gimbal.engines.storage.columns import Columns

POINTS = "metric_points"
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
PART = 500_000
"""Points that are read at once for curves."""
ALL_STEPS: Steps = (-(1 << 63), (1 << 63) - 1)

_KEYS = {"step": "step, at_us, rank", "time": "at_us, step, rank"}
# As `rank_of` does it: whole numbers that sort as the values do.
_RANK = (
    "if(reinterpretAsInt64(value) >= 0, reinterpretAsInt64(value), "
    "bitXor(reinterpretAsInt64(value), toInt64(9223372036854775807)))"
)
_HISTORY = Template("""
SELECT step, at_us, value FROM (
    SELECT step, at_us, value, $RANK AS rank FROM metric_points FINAL
    WHERE project = {project:String} AND run_id = {run:String} AND name = {name:String}
        AND step BETWEEN {from:Int64} AND {to:Int64}
)
$BEHIND
ORDER BY $KEY
LIMIT {limit:UInt32}
""")
_BEHIND = Template("WHERE ($KEY) > ($VALUES)")

_CURVES = Template("""
SELECT run_id, step, at_us, value FROM metric_points
WHERE project = {project:String} AND name = {name:String} AND run_id IN {runs:Array(String)}
    AND step BETWEEN {from:Int64} AND {to:Int64} $BEHIND
ORDER BY project, name, run_id, step, at_us, bits
LIMIT {limit:UInt32}
""")
_BEHIND_RUN = (
    "AND run_id >= {after_run:String} "
    "AND (run_id, step, at_us, bits) > ({after_run:String}, {after_step:Int64}, {after_at:Int64}, {after_bits:UInt64})"
)
_WHOLE = (
    "SELECT run_id, name, step, at_us, value FROM metric_points FINAL "
    "WHERE project = {project:String} AND run_id IN {runs:Array(String)}"
)
# Where points stood before there was `metric_points`: also in backups.
_OLD = ("run_metrics", "run_points")
_TAKE_OVER = Template(
    "INSERT INTO metric_points (project, run_id, name, step, at_us, value) "
    "SELECT project, run_id, name, step, at_us, value FROM $TABLE"
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


async def whole(columns: Columns, project: str, run_ids: Sequence[str]) -> pa.Table:
    """Return all points of runs, each once, in no order, with their `run_id` and `name`."""
    return await columns.arrow(_WHOLE, {"project": project, "runs": list(run_ids)})


async def curves(
    columns: Columns, project: str, run_ids: Sequence[str], name: str, *, order: Order, steps: Steps, cells: int
) -> dict[str, list[Point]]:
    """Return by run at most four points for each cell of its axis, extremes among them; all points where they are few.

    The table has them in the order of its key, so they are read as they stand, part by part, and thinned here: to pick
    them out by aggregates takes the engine ten times as long.
    """
    thinner = Thinner(cells, by_time=order == "time")
    asked: dict[str, Any] = {
        "project": project, "name": name, "runs": sorted(run_ids), "from": steps[0], "to": steps[1], "limit": PART,
    }  # fmt: skip
    behind = ""
    while True:
        found = await columns.arrow(_CURVES.substitute(BEHIND=behind), asked)
        last = found.num_rows < PART
        await asyncio.to_thread(thinner.take, found, last=last)
        if last:
            return thinner.curves()
        behind, end = _BEHIND_RUN, found.slice(PART - 1).to_pylist()[0]
        bits = struct.unpack("<Q", struct.pack("<d", end["value"]))[0]
        asked |= {"after_run": end["run_id"], "after_step": end["step"], "after_at": end["at_us"], "after_bits": bits}


async def take_over(columns: Columns) -> None:
    """Bring points from where they stood before into `metric_points`; a second time changes nothing."""
    for table in _OLD:
        await columns.command(_TAKE_OVER.substitute(TABLE=table))


async def old_points(columns: Columns) -> bool:
    """Tell whether there are points where they stood before."""
    counted = " + ".join(f"(SELECT count() FROM {table})" for table in (*_OLD, "run_metrics_latest"))
    (row,) = await columns.query(f"SELECT {counted} AS n")
    return bool(row["n"])


async def old_latest(columns: Columns, *, after: tuple[str, str], limit: int) -> list[tuple[str, str, str, Point]]:
    """Return project, run, metric and newest point as they stood before, by run and metric behind a place."""
    rows = await columns.query(_OLD_LATEST, {"run": after[0], "name": after[1], "limit": limit})
    return [
        (row["project"], row["run_id"], row["name"], Point(row["step"], row["at_us"], row["value"])) for row in rows
    ]


async def forget_old(columns: Columns) -> None:
    """Empty the tables where points stood before."""
    for table in (*_OLD, "run_metrics_latest"):
        await columns.command(f"TRUNCATE TABLE {table}")


def _points(table: pa.Table) -> list[Point]:
    columns = (table.column(name).to_pylist() for name in ("step", "at_us", "value"))
    return list(map(Point._make, zip(*columns, strict=True)))
