"""The page that puts runs beside each other; its address holds everything: which runs, what is drawn, and how."""

from collections.abc import Sequence
from typing import Any, get_args
from urllib.parse import quote

from gimbal.axis.runs.charts import previews
from gimbal.axis.runs.charts.columns import axis_value, check, compared
from gimbal.axis.runs.charts.drawing import labels
from gimbal.axis.runs.charts.model import MOST_RUNS, ComparedRow
from gimbal.axis.runs.choosing import CHOICES, asked_for
from gimbal.axis.runs.model import DIFF_FILE, Run, RunStatus
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.views import (
    ACROSS,
    LOGS,
    MOST_CHARTS,
    SMOOTH,
    Figure,
    band_choices,
    column_choices,
    figures,
    looks,
    metric_names,
    shown,
    telling,
)
from gimbal.engines.console.importance import LEAST
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.engines.console.parallel import MOST_AXES
from gimbal.engines.console.run_charts import LEAST_DOTS
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.operations import PREFIX
from gimbal.kernel.pages import Page

_STANDARD = 100
_LISTED = 24
"""More runs than these are counted instead of listed."""
_BESIDE = 12
"""So many runs stand beside each other in a table."""
_FIRST_AXES = 6
_TABS = (
    ("charts", "Charts"),
    ("parallel", "Parallel"),
    ("scatter", "Scatter"),
    ("contour", "Contour"),
    ("params", "Parameters"),
    ("code", "Code"),
)


@page("/runs/compare", title="Compare runs", icon="runs")
async def compare_page(ctx: Context, request: PageRequest) -> View:
    """Show several runs in one picture, and where they differ."""
    found, problem = await _chosen(ctx, request)
    runs = found.items
    tab = request.one_of("tab", dict(_TABS))
    names = labels(runs)
    data: dict[str, Any] = {
        "runs": [
            {"of": run, "name": name, "swatch": place % 6 + 1}
            for place, (run, name) in enumerate(zip(runs, names, strict=True))
        ],
        "listed": len(runs) <= _LISTED,
        "ids": [run.id for run in runs],
        "tab": tab,
        "tabs": _TABS,
        "common": {"runs": [run.id for run in runs]},
        "ask_url": f"{PREFIX}/projects/{quote(request.project, safe='')}/runs/chart",
        "across": ACROSS,
        "logs": LOGS,
        "smooths": SMOOTH,
        "live": any(run.status == "running" for run in runs),
        "shown": shown,
        "most_axes": MOST_AXES,
        "by_filter": not request.values("runs"),
        "filtered": any(request.query.get(name) for name in CHOICES),
        "problem": problem,
        "more": found.next is not None,
        "most": MOST_RUNS,
        "mosts": _mosts(request),
        "statuses": get_args(RunStatus),
        "without": lambda run_id: request.url(
            runs=[run.id for run in runs if run.id != run_id], most=None, **dict.fromkeys(CHOICES)
        ),
    }
    if not runs:
        return View("runs/compare.html", data | {"tab": "none"})
    fill = {"parallel": _parallel, "scatter": _plane, "contour": _plane, "params": _rows}.get(tab)
    if tab == "code":
        return View("runs/compare.html", data | await _code(ctx, request, runs))
    return View("runs/compare.html", data | (fill or _charts)(request, runs))


async def _chosen(ctx: Context, request: PageRequest) -> tuple[Page[Run], GimbalError | None]:
    """Return the runs that are named, or those that fit the filter; `next` tells that there are more than are shown."""
    ids = request.values("runs")
    if ids:
        return Page(items=await ctx.get(Runs).some(ctx, ids[:MOST_RUNS])), None
    if not any(request.query.get(name) for name in CHOICES):
        return Page(items=[]), None
    most = min(MOST_RUNS, max(1, request.number("most", _STANDARD)))
    return await asked_for(ctx, request, most)


def _mosts(request: PageRequest) -> list[tuple[str, str]]:
    asked = request.number("most", _STANDARD)
    numbers = sorted({20, _STANDARD, 500, MOST_RUNS, min(max(asked, 1), MOST_RUNS)})
    return [("" if one == _STANDARD else str(one), f"{one:,} runs") for one in numbers]


def _charts(request: PageRequest, runs: Sequence[Run]) -> dict[str, Any]:
    metrics = metric_names(runs, containing=request.query.get("metric", ""))
    machine = metric_names(runs, system=True, containing=request.query.get("metric", ""))
    bands = band_choices(runs)
    band = request.query.get("band", "")
    look = looks(request) | ({"band": check(band)} if band else {})
    return {
        "tab": "charts",
        "common": {"runs": [run.id for run in runs], **look},
        "charts": figures(metrics),
        "machine": figures(machine[: max(0, MOST_CHARTS - len(metrics))]),
        "bands": [("", "Off"), *bands, *([band] if band and band not in bands else [])],
    }


def _parallel(request: PageRequest, runs: Sequence[Run]) -> dict[str, Any]:
    metric, metrics = _metric(request, runs)
    params = [name for name in column_choices(runs) if name.startswith("params.")]
    axes = [check(name) for name in request.values("axes")][: MOST_AXES - 1]
    axes = axes or [name for name in params if _differs(runs, name)][:_FIRST_AXES] or params[:_FIRST_AXES]
    charts: list[Figure] = []
    if axes and metric:
        charts.append(Figure(title="", ask={"kind": "parallel", "by": axes, "metric": metric, "height": 380}))
    enough = sum(isinstance(axis_value(run, f"metrics.{metric}"), float | int) for run in runs) >= LEAST
    important = Figure(title="", ask={"kind": "importance", "metric": metric}) if charts and enough else None
    return {
        "charts": charts,
        "important": important,
        "axes": axes,
        "choices": params,
        "metric": metric,
        "metrics": metrics,
    }


def _plane(request: PageRequest, runs: Sequence[Run]) -> dict[str, Any]:
    metric, metrics = _metric(request, runs)
    kind = request.query["tab"]
    choices = [name for name in column_choices(runs) if not name.startswith("tags.")]
    if kind == "contour":
        choices = [name for name in choices if _numbers(runs, name)]
    best = [name for name in choices if name.startswith("params.") and _differs(runs, name) and _numbers(runs, name)]
    first = [*best, *(name for name in choices if name not in best)]
    across = check(request.query.get("across") or (first[0] if first else "name"))
    rest = [name for name in first if name != across]
    other = rest[0] if kind == "contour" and rest else f"metrics.{metric}" if metric else across
    up = check(request.query.get("up") or other)
    log = request.one_of("log", ("", "x", "y", "xy"))
    possible = _on_a_plane(runs, across, up, metric, log) if kind == "contour" else bool(across)
    ask = {"kind": kind, "by": [across, up], "metric": metric, "height": 440, "log": log}
    return {
        "charts": [Figure(title="", ask=ask)] if possible else [],
        "choices": list(dict.fromkeys([across, up, *choices])),
        "place": (across, up),
        "metric": metric,
        "metrics": metrics,
    }


def _rows(request: PageRequest, runs: Sequence[Run]) -> dict[str, Any]:
    beside = runs[:_BESIDE]
    rows = compared(beside).rows
    every = bool(request.query.get("same"))
    kinds: dict[str, list[ComparedRow]] = {"params": [], "metrics": [], "tags": []}
    for row in rows:
        if every or not row.same or len(beside) == 1:
            kinds[row.column.partition(".")[0]].append(row)
    titles = (("Parameters", "params"), ("Metrics", "metrics"), ("Tags", "tags"))
    return {
        "parts": [(title, kinds[kind]) for title, kind in titles if kinds[kind]],
        "every": every,
        "hidden": sum(row.same for row in rows) if not every and len(beside) > 1 else 0,
        "abreast": len(beside),
    }


async def _code(ctx: Context, request: PageRequest, runs: Sequence[Run]) -> dict[str, Any]:
    ids = [run.id for run in runs]
    left = request.query.get("left") if request.query.get("left") in ids else ids[0]
    right = request.query.get("right") if request.query.get("right") in ids else ids[min(1, len(ids) - 1)]
    sides = [next(run for run in runs if run.id == one) for one in (left, right)]
    service = ctx.get(Runs)
    files = [{file.path: file for file in await service.artifacts(ctx, run.id)} for run in sides]
    paths = sorted(set(files[0]) | set(files[1]))
    path = request.query.get("file", "")
    if path not in paths:
        path = next(
            (one for one in paths if one == DIFF_FILE),
            next((one for one in paths if one.endswith((".diff", ".patch", ".py"))), ""),
        )
    texts = [
        await previews.text(ctx, run.id, path) if path in own else "" for run, own in zip(sides, files, strict=True)
    ]
    facts = [
        (tag, *(run.tags.get(tag) for run in sides))
        for tag in sorted(set(sides[0].tags) | set(sides[1].tags))
        if any(word in tag.lower() for word in ("git", "commit", "branch", "code", "source"))
    ]
    return {"sides": sides, "paths": paths[:200], "path": path, "texts": texts, "facts": facts}


def _metric(request: PageRequest, runs: Sequence[Run]) -> tuple[str, list[str]]:
    metrics = sorted(metric_names(runs), key=telling)
    asked = request.query.get("metric", "")
    return (asked if asked in metrics else metrics[0] if metrics else ""), metrics


def _on_a_plane(runs: Sequence[Run], across: str, up: str, metric: str, log: str) -> bool:
    """Tell whether a surface can be made: four runs with all three numbers, that have places and differ on both axes."""
    columns = ((across, "x" in log), (up, "y" in log), (f"metrics.{metric}", False))
    whole = [run for run in runs if all(_placed(axis_value(run, column), far) for column, far in columns)]
    return len(whole) >= LEAST_DOTS and _differs(whole, across) and _differs(whole, up)


def _placed(value: object, log: bool) -> bool:
    return isinstance(value, float | int) and (value > 0 or not log)


def _differs(runs: Sequence[Run], column: str) -> bool:
    return len({str(axis_value(run, column)) for run in runs}) > 1


def _numbers(runs: Sequence[Run], column: str) -> bool:
    values = [value for run in runs if (value := axis_value(run, column)) is not None]
    return bool(values) and all(isinstance(value, float | int) for value in values)
