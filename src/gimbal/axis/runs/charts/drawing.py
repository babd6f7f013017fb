"""The verbs of charts over runs: which runs, their curves, and the spec."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gimbal.axis.runs.charts.bands import band
from gimbal.axis.runs.charts.columns import axis_value, check, value_of
from gimbal.axis.runs.charts.model import AskChart, Chart
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import Run
from gimbal.axis.runs.points.model import Point
from gimbal.axis.runs.service import Runs
from gimbal.engines.console import importance, parallel, run_charts
from gimbal.engines.console.run_charts import Curve, Dot
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

_POINTS = 20_000
"""Of a chart; more than a browser draws at once, and than a window has room for."""
_CELLS = 300
"""Of one run: a chart is about so many pixels wide."""
_NEWEST = 10


async def drawn(ctx: Context, ask: AskChart) -> Chart:
    """Return the chart that is asked for; raise BadInput when it cannot be, NotFound when there are no runs."""
    if ask.kind == "line":
        return await _lines(ctx, ask)
    runs = await chosen(ctx, ask)
    metric = f"metrics.{ask.metric}"
    if ask.kind == "importance":
        _need(ask.metric, "metric")
        pairs = [(run.params, value) for run in runs if isinstance(value := axis_value(run, metric), float | int)]
        found = importance.shares([params for params, _ in pairs], [value for _, value in pairs])
        spec = importance.importance(found, title=ask.metric)
        return Chart(spec=spec, runs=len(pairs), without=len(runs) - len(pairs))
    by = [check(column) for column in ask.by]
    if ask.kind == "parallel":
        axes = [*by, metric] if ask.metric else by
        rows = [parallel.Line(name=run.id, values={axis: axis_value(run, axis) for axis in axes}) for run in runs]
        spec = parallel.parallel(_named(rows, runs), axes, height=max(ask.height, 300))
        return Chart(spec=spec, runs=len(runs))
    if len(by) != 2:
        raise BadInput(
            f"A {ask.kind} needs two columns, not {len(by)}.", where="by", todo="Give two, such as params.depth."
        )
    return _dots(ask, runs, by)


async def chosen(ctx: Context, ask: AskChart) -> list[Run]:
    """Return the runs that are asked for, in their order; raise NotFound when there are none."""
    service = ctx.get(Runs)
    if ask.runs:
        return await service.some(ctx, ask.runs)
    found = (await service.page(ctx, experiment=ask.experiment, limit=100)).items
    having = [run for run in found if not ask.metric or ask.metric in run.metrics][:_NEWEST]
    if not having:
        raise NotFound(
            f"No run among the newest has the metric {ask.metric!r}." if ask.metric else "There are no runs.",
            where="metric",
            todo="`gimbal runs list` shows the runs and their metrics.",
        )
    return having


def labels(runs: Sequence[Run | RunRow]) -> list[str]:
    """Return a name for each run that no other of them has."""
    times = Counter(run.name for run in runs)
    return [run.name if times[run.name] == 1 else f"{run.name} · {run.id[-6:]}" for run in runs]


async def _lines(ctx: Context, ask: AskChart) -> Chart:
    _need(ask.metric, "metric")
    service = ctx.get(Runs)
    ids = ask.runs or [run.id for run in await chosen(ctx, ask)]
    rows = await service.rows(ctx, ids)
    found = await _points(service, rows, ask)
    runs: Sequence[Run | RunRow] = rows
    if "." in ask.band:
        # Only then what was logged is of use: of many runs it is a lot.
        runs = await service.some(ctx, ids)
    used = [run for run in runs if found.get(run.id)]
    names = [name for name, run in zip(labels(runs), runs, strict=True) if found.get(run.id)]
    curves = [_curve(name, run, found[run.id], ask) for name, run in zip(names, used, strict=True)]
    if not curves:
        raise NotFound(
            f"None of the runs has points of {ask.metric!r}.", where="metric", todo="`gimbal runs show` names them."
        )
    if ask.band:
        column = check(ask.band)
        groups: dict[str, list[Curve]] = {}
        for curve, run in zip(curves, used, strict=True):
            groups.setdefault(_group(column, value_of(run, column)), []).append(curve)
        curves = [band(name, members) for name, members in groups.items()]
    if ask.smooth:
        curves = [_smoothed(curve, ask.smooth) for curve in curves]
    title = ask.metric if ask.named else ""
    named = ask.named or bool(ask.band)
    look: dict[str, Any] = {"across": ask.x, "log": ask.log, "named": named, "height": ask.height}
    # Of hundreds of runs it takes a while, in which others are answered.
    spec = await asyncio.to_thread(run_charts.lines, curves, y_title=title, **look)
    return Chart(spec=spec, runs=len(used), without=len(runs) - len(used))


async def _points(service: Runs, rows: Sequence[RunRow], ask: AskChart) -> dict[str, list[Point]]:
    """Return the points of each run; the more runs there are, the fewer of each, as nobody could see them."""
    most = min(4 * _CELLS, max(48, _POINTS // len(rows)))
    return await service.curves(rows, ask.metric, order="step" if ask.x == "step" else "time", most=most)


def _curve(name: str, run: Run | RunRow, points: Sequence[Point], ask: AskChart) -> Curve:
    if ask.x == "step":
        xs = [float(point.step) for point in points]
    elif ask.x == "time":
        xs = [point.at_us / 1_000 for point in points]
    else:
        start = to_us(run.started_at)
        xs = [(point.at_us - start) / 1_000_000 for point in points]
    return Curve(name=name, xs=xs, ys=[point.value if math.isfinite(point.value) else None for point in points])


def _smoothed(curve: Curve, weight: float) -> Curve:
    def even(values: list[float | None] | None) -> list[float | None] | None:
        return None if values is None else run_charts.smoothed(curve.xs, values, weight)

    return Curve(
        name=curve.name,
        xs=curve.xs,
        ys=run_charts.smoothed(curve.xs, curve.ys, weight),
        raw=None if curve.low is not None else curve.ys,
        low=even(curve.low),
        high=even(curve.high),
    )


def _dots(ask: AskChart, runs: Sequence[Run], by: Sequence[str]) -> Chart:
    dots: list[Dot] = []
    for name, run in zip(labels(runs), runs, strict=True):
        x, y = axis_value(run, by[0]), axis_value(run, by[1])
        colour = axis_value(run, f"metrics.{ask.metric}") if ask.metric else None
        if x is not None and y is not None:
            dots.append(Dot(name=name, x=x, y=y, colour=colour if isinstance(colour, float | int) else None))
    titles = {"x_title": by[0], "y_title": by[1]}
    height = max(ask.height, 300)
    if ask.kind == "contour":
        _need(ask.metric, "metric")
        spec = run_charts.contour(dots, **titles, value_title=ask.metric, log=ask.log, height=height)
    else:
        spec = run_charts.scatter(dots, **titles, colour_title=ask.metric, log=ask.log, height=height)
    return Chart(spec=spec, runs=len(dots), without=len(runs) - len(dots))


def _named(rows: Sequence[parallel.Line], runs: Sequence[Run]) -> list[parallel.Line]:
    return [parallel.Line(name=name, values=row.values) for name, row in zip(labels(runs), rows, strict=True)]


def _group(column: str, value: Any) -> str:
    return f"no {column}" if value is None else f"{column.rpartition('.')[2]} {value}" if "." in column else str(value)


def _need(value: str, where: str) -> None:
    if not value:
        raise BadInput(f"This chart needs a {where}.", where=where, todo="`gimbal runs show` names what was logged.")
