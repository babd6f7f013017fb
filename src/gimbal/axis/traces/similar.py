"""Traces like one: of the same root in the seven days before it, those whose spans have its shape, nearest first.

Also how it stands among them: slower, costlier than how many. How long all of them took is counted; what they cost and
what they are made of is read of the newest thousand, so that the question takes the same time however many there are.
"""

import asyncio
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces, check_trace_id
from gimbal.axis.traces.shapes import Like, Similar, Standing
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

WINDOW_US = 7 * 24 * 3600 * 1_000_000
MOST_READ = 1000
_MOST_SHOWN = 50
# Spans of a trace begin near its head; what comes days later is not needed to tell its shape.
_AROUND_US = 24 * 3600 * 1_000_000
_HEADS = (
    "project = {project:String} AND is_root = 1 AND start_us >= {low:Int64} AND start_us < {high:Int64} "
    "AND name = {name:String} AND parent_id = '' AND trace_id != {id:String}"
)


async def similar(ctx: Context, trace_id: str, *, limit: int = 10) -> Similar:
    """Return the traces that are most like one. Raise NotFound, BadInput."""
    check_trace_id(trace_id)
    if not 1 <= limit <= _MOST_SHOWN:
        raise BadInput(f"limit is {limit}.", where="limit", todo=f"Give a number from 1 to {_MOST_SHOWN}.")
    traces, project = ctx.get(Traces), ctx.project or "default"
    mine = (await traces.summaries(ctx, [trace_id])).get(trace_id)
    if mine is None:
        raise traces.missing(trace_id)
    began = to_us(mine.start)
    # Whatever began at the same moment may be its like, too.
    values = {"project": project, "low": began - WINDOW_US, "high": began + 1, "name": mine.name, "id": trace_id}
    times, shapes = await asyncio.gather(_times(ctx, values, mine), _shapes(ctx, values, began))
    own = shapes.pop(trace_id, None)
    ranked = sorted(shapes.values(), key=lambda row: _distance(own, row)) if own else []
    nearest = ranked[:limit]
    found = await traces.summaries(ctx, [row["trace_id"] for row in nearest])
    costs = [row["cost"] for row in shapes.values() if row["cost"] is not None]
    tokens = [row["tokens"] for row in shapes.values() if row["tokens"] is not None]
    spent = None if mine.input_tokens is None else mine.input_tokens + (mine.output_tokens or 0)
    # A cost in part unknown is no cost to compare.
    standings = [
        times,
        _standing("cost", None if mine.unpriced else mine.cost, costs),
        _standing("tokens", spent, tokens),
    ]
    return Similar(
        traces=[
            Like(
                trace=found[row["trace_id"]],
                shape=round(_same(own, row), 3),
                same_end=bool(own) and own["failed"] == row["failed"],
            )
            for row in nearest
            if row["trace_id"] in found
        ],
        standings=[one for one in standings if one is not None],
        read=len(shapes),
    )


async def _times(ctx: Context, values: dict[str, Any], mine: TraceSummary) -> Standing | None:
    """Return how its duration stands among all of its root's name."""
    rows = await ctx.get(Columns).query(
        "SELECT count() AS among, countIf(took < {took:Int64}) AS less, countIf(took = {took:Int64}) AS equal, "
        "quantileExact(took) AS median FROM (SELECT end_us - start_us AS took, weight FROM spans "
        f"WHERE {_HEADS} ORDER BY written_us DESC LIMIT 1 BY sipHash128(trace_id, span_id)) WHERE weight > 0",
        values | {"took": mine.duration_us},
    )
    row = rows[0]
    if not row["among"]:
        return None
    below = (row["less"] + row["equal"] / 2) / row["among"]
    return Standing(measure="duration", among=row["among"], below=round(below, 4), median=row["median"] / 1000)


async def _shapes(ctx: Context, values: dict[str, Any], began: int) -> dict[str, dict[str, Any]]:
    """Return of the newest others and of the trace itself what they are made of, by their ids."""
    heads = await ctx.get(Columns).query(
        f"SELECT DISTINCT trace_id, start_us FROM spans WHERE {_HEADS} AND weight > 0 ORDER BY start_us DESC LIMIT {MOST_READ}",
        values,
    )
    ids = [values["id"], *dict.fromkeys(head["trace_id"] for head in heads)]
    low = min([began, *(head["start_us"] for head in heads)])
    rows = await ctx.get(Columns).query(
        "SELECT trace_id, groupUniqArray(1000)(concat(s.kind, ' ', if(s.kind = 'llm' AND s.model != '', s.model, s.name))) "
        "AS shape, arraySort(groupUniqArrayIf(100)(s.name, s.status = 'error')) AS failed, "
        "sumIf(s.cost, s.billable = 1) AS cost, countIf(s.billable = 1 AND s.unpriced != '') AS unpriced, "
        "sumIf(s.input_tokens + s.output_tokens, s.billable = 1) AS tokens, "
        "maxIf(s.end_us - s.start_us, s.is_root = 1 AND s.parent_id = '') AS took "
        "FROM (SELECT trace_id, span_id, kind, model, name, status, cost, billable, unpriced, input_tokens, output_tokens, "
        "start_us, end_us, is_root, parent_id, weight FROM spans WHERE project = {project:String} "
        "AND trace_id IN {ids:Array(String)} AND start_us BETWEEN {low:Int64} AND {high:Int64} "
        "ORDER BY written_us DESC LIMIT 1 BY sipHash128(trace_id, span_id)) AS s WHERE s.weight > 0 GROUP BY trace_id",
        {"project": values["project"], "ids": ids, "low": low - _AROUND_US, "high": began + _AROUND_US},
    )
    for row in rows:
        row["shape"] = frozenset(row["shape"])
        row["failed"] = tuple(row["failed"])
        if row["unpriced"]:
            row["cost"] = None
    return {row["trace_id"]: row for row in rows}


def _same(own: dict[str, Any] | None, row: dict[str, Any]) -> float:
    """Return the share of what both are made of in what either is (Jaccard)."""
    if own is None:
        return 0.0
    return len(own["shape"] & row["shape"]) / (len(own["shape"] | row["shape"]) or 1)


def _distance(own: dict[str, Any], row: dict[str, Any]) -> tuple[float, bool, float, str]:
    """Return how far a trace is from another: by shape, how it ended, and by orders of magnitude of time and cost."""
    apart = abs(math.log((row["took"] + 1000) / (own["took"] + 1000)))
    if own["cost"] and row["cost"]:
        apart += abs(math.log(float(row["cost"] / own["cost"])))
    return -round(_same(own, row), 2), own["failed"] != row["failed"], apart, row["trace_id"]


def _standing(measure: str, mine: float | Decimal | None, others: Sequence[Any]) -> Standing | None:
    if mine is None or not others:
        return None
    ordered = sorted(others)
    below = (sum(one < mine for one in ordered) + sum(one == mine for one in ordered) / 2) / len(ordered)
    middle = ordered[len(ordered) // 2]
    return Standing(measure=measure, among=len(ordered), below=round(below, 4), median=float(middle))
