"""The console's pages of the gateway: what is called now, how the models stand, and what was rerouted."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import gimbal.generative.gateway.playground_page  # pyright: ignore[reportUnusedImport] - importing them declares their pages
import gimbal.generative.gateway.provider_pages  # pyright: ignore[reportUnusedImport]
import gimbal.generative.gateway.route_pages  # noqa: F401  # pyright: ignore[reportUnusedImport]
from gimbal.engines.console import charts
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.standing import outages, standings
from gimbal.generative.gateway.traffic import Figures, Traffic, traffic
from gimbal.kernel.context import Context
from gimbal.kernel.errors import DeadlineExceeded
from gimbal.kernel.settings import Settings

_SERIES = 5
_MOST = 100
_OTHERS = "others"
_MEASURES = {"calls": "Calls", "errors": "Errors", "latency": "Latency p95", "first": "First token p95", "cost": "Cost"}
_UNITS = {"calls": "calls", "errors": "failed calls", "latency": "seconds", "first": "seconds", "cost": "US dollars"}
_WORDS = {
    "down": ("resting", "bad", "Its breaker is open: too many calls failed, so none is sent for a while."),
    "probing": ("probing", "warn", "Its breaker lets a few calls through to see whether it answers again."),
    "paused": ("paused", "warn", "The provider asked to be left alone for a while (Retry-After)."),
    "failing": ("failing", "bad", "Half of the latest calls or more have failed."),
    "rerouted": (
        "rerouted",
        "warn",
        "Calls went on to another model in the last minutes; this process did not call it.",
    ),
    "shaky": ("some fail", "warn", "Some of the latest calls have failed."),
    "up": ("up", "good", "The latest calls were answered."),
    "unseen": ("not called here", "plain", "This process did not call it since it started."),
}


@page("/gateway", title="Gateway", nav="Gateway", order=62, icon="gateway", tab="Overview")
async def gateway_page(ctx: Context, request: PageRequest) -> View:
    """Show the models that were called lately, outages first, and the traffic of the last hour."""
    problem, seen = None, None
    try:
        seen = await traffic(ctx)
    except DeadlineExceeded as slow:
        problem = slow
    states = ctx.get(Health).snapshot() if ctx.services.has(Health) else []
    models = standings(
        seen.models if seen else (),
        seen.rerouted if seen else (),
        states,
        project=request.project,
        everywhere=request.principal.everywhere is not None,
        now=ctx.now(),
    )
    measure = request.query.get("show", "")
    measure = measure if measure in _MEASURES else "calls"
    data: dict[str, Any] = {
        "seen": seen,
        "problem": problem,
        "models": models,
        "most": _MOST,
        "outages": outages(models),
        "unrouted": [one for one in seen.models if not one.reached] if seen else [],
        "words": _WORDS,
        "measures": _MEASURES,
        "measure": measure,
        "chart": _chart(seen, measure) if seen else None,
        "server": ctx.get(Settings).server,
    }
    return View("gateway/overview.html", data)


def _chart(seen: Traffic, measure: str) -> charts.Spec | None:
    """Return a measure by minute and model; None where no call tells it."""
    names = [one.called for one in seen.models[:_SERIES]]
    points: defaultdict[tuple[str, datetime], float] = defaultdict(float)
    for one in seen.minutes:
        name = one.called if one.called in names else _OTHERS
        value = _value(one, measure)
        if one.at is None or value is None:
            continue
        # What is a sum adds up; of percentiles of several models only the largest can be told.
        place = name, one.at
        points[place] = points[place] + value if measure in {"calls", "errors", "cost"} else max(points[place], value)
    if not points or not any(points.values()):
        return None
    if measure in {"latency", "first"}:
        rows = [charts.Point(x=at, y=value, series=name) for (name, at), value in sorted(points.items())]
        return charts.line(rows, y_title=_UNITS[measure], zero=True, height=220)
    return charts.stacked(
        [charts.Point(x=_minute(at), y=value, series=name) for (name, at), value in sorted(points.items())],
        order=[*names, *([_OTHERS] if any(name == _OTHERS for name, _ in points) else [])],
        buckets=_minutes(seen.since, seen.until),
        y_title=_UNITS[measure],
        height=220,
    )


def _value(one: Figures, measure: str) -> float | None:
    if measure == "calls":
        return one.calls
    if measure == "errors":
        return one.errors
    if measure == "latency":
        return one.p95_ms / 1000
    if measure == "first":
        return None if one.first_p95_ms is None else one.first_p95_ms / 1000
    return None if one.cost is None else float(one.cost)


def _minutes(since: datetime, until: datetime) -> list[str]:
    first = since.replace(second=0, microsecond=0)
    return [
        _minute(first + timedelta(minutes=place)) for place in range(int((until - first).total_seconds() // 60) + 1)
    ]


def _minute(at: datetime) -> str:
    # Charts leave the first five characters to the table beneath: of a day that is known, the hour is enough.
    return at.strftime("%m-%d %H:%M")
