"""MLflow's calls on the history of metrics: whole in pages, or as much as a chart of several runs can show."""

import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.points.model import Place, Point, place_of
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.points.store import ALL_STEPS, Steps
from gimbal.faces.mlflow.names import Int64, hex_of
from gimbal.faces.mlflow.reading import ShownPoint, run_of, run_row, shown_point
from gimbal.faces.mlflow.runs import OneRun
from gimbal.faces.mlflow.table import call, raw
from gimbal.faces.mlflow.wire import encoded, needed, query_of
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.http import HttpReply, HttpRequest
from gimbal.kernel.pages import cursor_number, encode_cursor

_AT_ONCE = 25_000
"""Points that are read and written at once; MLflow's own client asks for so many."""
_MOST_RUNS = 100
_MOST_OF_RUN = 2500
_MOST_BULK = 25_000


class History(OneRun, frozen=True, kw_only=True):
    """Which points of a metric."""

    metric_key: str = ""
    max_results: Int64 | None = None
    page_token: str = ""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Which points of a metric of several runs."""

    run_ids: list[str] = []
    metric_key: str = ""
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 = _MOST_OF_RUN


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """Which points of a metric of several runs, as the web pages of MLflow ask."""

    run_id: list[str] = []
    metric_key: str = ""
    max_results: Int64 = _MOST_BULK


@raw("GET", "/mlflow/metrics/get-history", allow=Permission.VIEW)
async def get_history(ctx: Context, request: HttpRequest) -> HttpReply:
    """Return the points of a metric by time, step and value: a page, or all of them."""
    asked = query_of(request, History)
    row, name = await run_of(ctx, asked), needed("metric_key", asked.metric_key)
    if asked.max_results is not None and asked.max_results <= 0:
        raise BadInput(
            f"Invalid value {asked.max_results} for parameter 'max_results' supplied. It must be a positive integer.",
            where="max_results",
        )
    mark = zlib.crc32(f"{row.id} {name}".encode())
    after = _place(asked.page_token, mark) if asked.page_token else None
    pages = _written(ctx, row, name, after=after, most=asked.max_results, mark=mark)
    first = await anext(pages)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in pages:
            yield piece

    return HttpReply(body=whole())


@call("GET", "/mlflow/metrics/get-history-bulk-interval", Interval, allow=Permission.VIEW)
async def get_interval(ctx: Context, asked: Interval) -> dict[str, Any]:
    """Return points of a metric of several runs, few enough for a chart; extremes are among them."""
    if not 1 <= asked.max_results <= _MOST_OF_RUN:
        raise BadInput(f"max_results must be between 1 and {_MOST_OF_RUN}.", where="max_results")
    name = needed("metric_key", asked.metric_key)
    rows = await _rows(ctx, asked.run_ids, "run_ids")
    found = await ctx.get(Points).curves(rows, name, steps=_steps(asked), most=asked.max_results)
    return {"metrics": _shown(rows, name, [found.get(row.id, []) for row in rows])}


@call("GET", "/mlflow/metrics/get-history-bulk", Bulk, allow=Permission.VIEW)
async def get_bulk(ctx: Context, asked: Bulk) -> dict[str, Any]:
    """Return the points of a metric of several runs by run and time, up to a number in all."""
    name = needed("metric_key", asked.metric_key)
    rows = sorted(await _rows(ctx, asked.run_id, "run_id"), key=lambda row: row.id)
    room = max(0, min(asked.max_results, _MOST_BULK))
    parts: list[list[Point]] = []
    for row in rows:
        part = await ctx.get(Points).history(row, name, order="time", limit=room) if room else []
        parts.append(part)
        room -= len(part)
    return {"metrics": _shown(rows, name, parts)}


async def _rows(ctx: Context, run_ids: Sequence[str], where: str) -> list[RunRow]:
    needed(where, "".join(run_ids))
    if len(run_ids) > _MOST_RUNS:
        raise BadInput(
            f"The request must specify at most {_MOST_RUNS} run_ids. Received {len(run_ids)} run_ids.", where=where
        )
    found = [await run_row(ctx, run_id) for run_id in run_ids]
    return list({row.id: row for row in found}.values())


def _steps(asked: Interval) -> Steps:
    first, last = asked.start_step, asked.end_step
    if first is None and last is None:
        return ALL_STEPS
    if first is None or last is None:
        raise BadInput(
            "If either start step or end step are specified, both must be specified.",
            where="end_step" if last is None else "start_step",
        )
    if first > last:
        raise BadInput(
            f"end_step must be greater than start_step. Found start_step={first} and end_step={last}.", where="end_step"
        )
    return first, last


def _shown(rows: Sequence[RunRow], name: str, parts: Sequence[Sequence[Point]]) -> list[ShownPoint]:
    return [
        msgspec.structs.replace(shown_point(name, point), run_id=hex_of(row.id))
        for row, points in zip(rows, parts, strict=True)
        for point in points
    ]


async def _written(
    ctx: Context, row: RunRow, name: str, *, after: Place | None, most: int | None, mark: int
) -> AsyncIterator[bytes]:
    """Write points part by part, so that a history of any length needs the memory of one part."""
    points, head = ctx.get(Points), b'{"metrics":['
    while True:
        size = _AT_ONCE if most is None else min(_AT_ONCE, most)
        found = await points.history(row, name, order="time", after=after, limit=size + 1)
        more, found = len(found) > size, found[:size]
        text = encoded([shown_point(name, one) for one in found])[1:-1]
        if found:
            after = place_of(found[-1])
        most = None if most is None else most - len(found)
        if not more or most == 0:
            token = encode_cursor({"of": mark, **after._asdict()}) if more and after else ""
            yield head + text + (b'],"next_page_token":"%s"}' % token.encode() if token else b"]}")
            return
        yield head + text
        head = b","


def _place(token: str, mark: int) -> Place:
    """Return where a page begins; raise BadInput for a token of another history."""
    try:
        place = Place(**{name: cursor_number(token, name) for name in Place._fields})
        if cursor_number(token, "of") == mark:
            return place
    except BadInput:
        pass
    raise BadInput("Invalid page token: it is not of this history.", where="page_token")
