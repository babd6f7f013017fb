"""Charts of a search for parameters: its history, its front of several objectives, and what its parameters explain."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from gimbal.engines.console.charts import SCHEMA, Spec
from gimbal.kernel.errors import BadInput

_FITTED = {"type": "fit", "contains": "padding"}


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One trial that is complete."""

    number: int
    value: float


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """What one parameter explains, and what chance alone would show."""

    name: str
    share: float
    chance: float
    runs: int


def history(
    found: Sequence[Tried], *, direction: Literal["minimize", "maximize"], title: str, height: int = 280
) -> Spec:
    """Return one dot per trial by its number, and the best value so far as steps."""
    if not found:
        raise BadInput("No trial is complete.", where="trials", todo="Wait for the first one.")
    better = min if direction == "minimize" else max
    best = found[0].value
    rows: list[dict[str, Any]] = []
    for one in found:
        best = better(best, one.value)
        rows.append({"trial": one.number, "value": one.value, "best": best})
    x = {
        "field": "trial",
        "type": "quantitative",
        "title": "trial",
        "axis": {"tickMinStep": 1},
        "scale": {"zero": False},
    }
    y = {"type": "quantitative", "title": title, "scale": {"zero": False}}
    tooltip = [
        {"field": "trial", "type": "quantitative"},
        {"field": "value", "type": "quantitative", "title": title, "format": ".5~g"},
        {"field": "best", "type": "quantitative", "title": "best so far", "format": ".5~g"},
    ]
    dots: Spec = {"mark": {"type": "point", "style": "dot", "opacity": 0.55}}
    steps: Spec = {"mark": {"type": "line", "style": "series", "interpolate": "step-after"}}
    colour = {"scale": {"domain": ["trial", "best so far"]}, "type": "nominal", "title": None}
    dots["encoding"] = {"x": x, "y": {**y, "field": "value"}, "tooltip": tooltip, "color": {**colour, "datum": "trial"}}
    steps["encoding"] = {"x": x, "y": {**y, "field": "best"}, "color": {**colour, "datum": "best so far"}}
    return _spec(rows, [dots, steps], height)


def front(found: Sequence[tuple[int, float, float, bool]], *, x_title: str, y_title: str, height: int = 340) -> Spec:
    """Return one dot per trial over two objectives, with those that no other beats in all objectives marked."""
    if not found:
        raise BadInput("No trial is complete.", where="trials", todo="Wait for the first one.")
    rows = [
        {"trial": number, "x": x, "y": y, "front": "best" if best else "beaten"}
        for number, x, y, best in sorted(found, key=lambda one: one[3])
    ]
    x = {"field": "x", "type": "quantitative", "title": x_title, "scale": {"zero": False}}
    y = {"field": "y", "type": "quantitative", "title": y_title, "scale": {"zero": False}}
    tooltip = [
        {"field": "trial", "type": "quantitative"},
        {"field": "x", "type": "quantitative", "title": x_title, "format": ".5~g"},
        {"field": "y", "type": "quantitative", "title": y_title, "format": ".5~g"},
    ]
    colour = {"field": "front", "type": "nominal", "title": None, "sort": ["beaten", "best"]}
    shape = {**colour, "legend": None}
    dots = {
        "mark": {"type": "point", "style": "dot"},
        "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": tooltip},
    }
    return _spec(rows, [dots], height)


def explained(bars: Sequence[Bar], *, title: str) -> Spec:
    """Return one bar per parameter, and a mark for what chance alone shows in nineteen of twenty cases."""
    rows = [{"name": b.name, "share": round(b.share, 4), "chance": round(b.chance, 4), "trials": b.runs} for b in bars]
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 160}}
    scale: Spec = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": ".0%"}}
    scale["title"] = f"share of the spread of {title}"
    tooltip = [
        {"field": "name", "type": "nominal", "title": "parameter"},
        {"field": "share", "type": "quantitative", "title": "explains", "format": ".1%"},
        {"field": "chance", "type": "quantitative", "title": "by chance up to", "format": ".1%"},
        {"field": "trials", "type": "quantitative"},
    ]
    bar = {"x": {**scale, "field": "share"}, "y": y, "tooltip": tooltip}
    tick = {"x": {**scale, "field": "chance"}, "y": y, "tooltip": tooltip}
    layers: list[Spec] = [
        {"mark": {"type": "bar", "style": "share", "height": 14}, "encoding": bar},
        {"mark": {"type": "tick", "style": "threshold", "size": 20, "thickness": 2}, "encoding": tick},
    ]
    return _spec(rows, layers, 32 * len(rows) + 60)


def _spec(rows: Sequence[dict[str, Any]], layers: Sequence[Spec], height: int) -> Spec:
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": _FITTED,
        "data": {"values": list(rows)},
        "layer": list(layers),
    }
