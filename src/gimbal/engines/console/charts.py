"""Charts as Vega-Lite specs, made once and used by pages, PNG exports, the command line and notebooks alike.

A spec names roles ("accent", "band", "rule"), never colours: `theme_config` gives each role its colour from the design
tokens, so one spec serves both themes. Data is in the spec, one row per mark; missing values stay missing.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from gimbal.engines.console.tokens import THEMES, Theme, tokens
from gimbal.kernel.clock import iso
from gimbal.kernel.errors import BadInput

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
Spec = dict[str, Any]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a series, with its interval where there is one."""

    x: datetime | float | str
    """Moment, number (a training step, say) or the name of a category."""
    y: float | None
    """None is a gap: the value is missing, not zero."""
    low: float | None = None
    high: float | None = None
    series: str = ""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a distribution."""

    label: str
    """Name of the category, or the range of the bin."""
    share: float
    """Part of all values that fall into it, 0 to 1."""
    series: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A line across the chart: a threshold, or the value of the incumbent."""

    y: float
    label: str


Kind = Literal["temporal", "quantitative", "ordinal"]
# A row of its own for what is drawn once: with the chart's data it would be drawn once per point.
_ONCE: Spec = {"values": [{}]}


def line(
    points: Sequence[Point],
    *,
    x_title: str = "",
    y_title: str = "",
    rules: Sequence[Rule] = (),
    zero: bool = False,
    height: int = 260,
) -> Spec:
    """Return lines over time or step, with the interval as a band where every point of it has one."""
    if not points:
        raise BadInput("A chart needs at least one point.", where="points", todo="Show an empty state instead.")
    kind = _kind(points[0].x)
    many = len({point.series for point in points}) > 1
    tooltip = [
        {"field": "x", "type": kind, "title": x_title or "at", **_time_unit(kind)},
        {"field": "y", "type": "quantitative", "title": y_title or "value", "format": ".4~g"},
    ]
    if any(point.low is not None for point in points):
        tooltip += [
            {"field": "low", "type": "quantitative", "title": "from", "format": ".4~g"},
            {"field": "high", "type": "quantitative", "title": "to", "format": ".4~g"},
        ]
    if many:
        tooltip.append({"field": "series", "type": "nominal", "title": "series"})
    x: Spec = {"field": "x", "type": kind, "title": x_title or None}
    if kind == "temporal":
        x["scale"] = {"type": "utc"}
        # As everywhere in the console: 24 hours.
        x["axis"] = {"format": {"hours": "%H:%M", "minutes": "%H:%M"}}
    if kind == "quantitative" and all(float(p.x).is_integer() for p in points if not isinstance(p.x, datetime | str)):
        # There is no half of a step.
        x["axis"] = {"tickMinStep": 1, "tickCount": 10}
    y = {"field": "y", "type": "quantitative", "title": y_title or None, "scale": {"zero": zero}}
    colour: Spec = {"color": {"field": "series", "type": "nominal", "title": None}} if many else {}
    layers: list[Spec] = []
    if any(point.low is not None for point in points):
        band = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **colour}
        layers.append({"mark": {"type": "area", "style": "band"}, "encoding": band})
    layers.append(
        {
            "mark": {"type": "line", "style": "series", "point": len(points) <= 60},
            "encoding": {"x": x, "y": y, **colour, "tooltip": tooltip},
        }
    )
    layers += _rules(rules)
    # Fitted, so that charts side by side are of one height, whatever their axes write.
    return _spec(points, {"layer": layers, "autosize": {"type": "fit", "contains": "padding"}}, height)


def intervals(points: Sequence[Point], *, y_title: str = "", rules: Sequence[Rule] = ()) -> Spec:
    """Return one row per category (`x`): a dot for its value on a line for its interval, with `rules` across them all.

    The axis does not begin at zero: these are estimates to compare with each other and with a rule, not amounts.
    """
    y = {"field": "x", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220, "grid": True}}
    scale = {"zero": False, "nice": True, "padding": 12}
    value = {"field": "y", "type": "quantitative", "title": y_title or None, "scale": scale, "axis": {"tickCount": 6}}
    tooltip = [
        {"field": "x", "type": "nominal", "title": "what"},
        {"field": "y", "type": "quantitative", "title": y_title or "value", "format": ".4~g"},
        {"field": "low", "type": "quantitative", "title": "from", "format": ".4~g"},
        {"field": "high", "type": "quantitative", "title": "to", "format": ".4~g"},
    ]
    span = {"x": {**value, "field": "low"}, "x2": {"field": "high"}, "y": y}
    layers: list[Spec] = [
        {"mark": {"type": "rule", "style": "interval"}, "encoding": span},
        {"mark": {"type": "point", "style": "dot"}, "encoding": {"x": value, "y": y, "tooltip": tooltip}},
    ]
    for rule in rules:
        at = {"x": {"datum": rule.y, "type": "quantitative"}}
        label = {"type": "text", "style": "rule-head", "text": rule.label}
        layers.append({"data": _ONCE, "mark": {"type": "rule", "style": "threshold"}, "encoding": at})
        layers.append({"data": _ONCE, "mark": label, "encoding": {**at, "y": {"value": 0}}})
    return _spec(points, {"layer": layers}, 30 * len(points) + 12)


def compare(bins: Sequence[Bin], *, x_title: str = "", height: int = 200) -> Spec:
    """Return the shares of each bin side by side for each series: reference against current, say."""
    order = list(dict.fromkeys(row.label for row in bins))
    series = list(dict.fromkeys(row.series for row in bins))
    encoding: Spec = {
        "x": {
            "field": "label",
            "type": "nominal",
            "sort": order,
            "title": x_title or None,
            "axis": {"labelAngle": 0, "labelOverlap": True},
        },
        "y": {"field": "share", "type": "quantitative", "title": "share", "axis": {"format": ".0%"}},
        "tooltip": [
            {"field": "label", "type": "nominal", "title": x_title or "bin"},
            {"field": "share", "type": "quantitative", "title": "share", "format": ".2%"},
        ],
    }
    if len(series) > 1:
        encoding["xOffset"] = {"field": "series", "type": "nominal", "sort": series}
        encoding["color"] = {"field": "series", "type": "nominal", "title": None, "sort": series}
        encoding["tooltip"].append({"field": "series", "type": "nominal", "title": "series"})
    return _spec(bins, {"mark": {"type": "bar", "style": "share"}, "encoding": encoding}, height)


def stacked(
    points: Sequence[Point],
    *,
    order: Sequence[str],
    buckets: Sequence[str],
    ahead: str = "",
    y_title: str = "",
    rules: Sequence[Rule] = (),
    height: int = 260,
) -> Spec:
    """Return bars over time, one for each of `buckets`, stacked by series in `order`; `ahead` names what is a forecast.

    A bucket is the text of its moment, like `2026-05-03` or `2026-05-03 14:00`, so that one without a value keeps its place.
    """
    if not points:
        raise BadInput("A chart needs at least one point.", where="points", todo="Show an empty state instead.")
    known = [name for name in order if name != ahead]
    x: Spec = {
        "field": "x",
        "type": "ordinal",
        "title": None,
        "scale": {"domain": list(buckets), "paddingInner": 0.2},
        # The year is the same for most of them; the table under the chart has it.
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelExpr": "slice(datum.label, 5)", "labelFlush": False},
    }
    y: Spec = {"field": "y", "type": "quantitative", "title": y_title or None, "stack": "zero"}
    tooltip = [
        {"field": "x", "type": "nominal", "title": "from"},
        {"field": "series", "type": "nominal", "title": "what"},
        {"field": "y", "type": "quantitative", "title": y_title or "value", "format": ".4~g"},
    ]
    colour: Spec = {"field": "series", "type": "nominal", "title": None, "sort": known, "scale": {"domain": known}}
    # What does not fit beside each other stands beneath.
    colour["legend"] = {"columns": {"expr": "width < 500 ? 2 : 6"}, "labelLimit": 150}
    layers: list[Spec] = [
        {
            "transform": [
                {"filter": {"not": {"field": "series", "equal": ahead}}},
                # As JSON the names are words of the expression, whatever is in them.
                {"calculate": f"indexof({json.dumps(known)}, datum.series)", "as": "place"},
            ],
            "mark": "bar",
            "encoding": {"x": x, "y": y, "color": colour, "order": {"field": "place"}, "tooltip": tooltip},
        }
    ]
    if any(point.series == ahead for point in points):
        layers.append(
            {
                "transform": [{"filter": {"field": "series", "equal": ahead}}],
                "mark": {"type": "bar", "style": "ahead"},
                "encoding": {"x": x, "y": y, "tooltip": tooltip},
            }
        )
    layers += _rules(rules)
    spec = _spec(points, {"layer": layers, "autosize": {"type": "fit", "contains": "padding"}}, height)
    values = [{name: row[name] for name in ("x", "series", "y")} for row in rows_of(spec)]
    return {**spec, "data": {"values": values}}


def calibration(points: Sequence[Point], *, height: int = 260) -> Spec:
    """Return predicted (`x`, 0 to 1) against observed shares (`y`) with intervals, and the diagonal of a true model."""
    unit = {"scale": {"domain": [0, 1]}, "axis": {"format": ".0%"}}
    x = {"field": "x", "type": "quantitative", "title": "predicted", **unit}
    y = {"field": "y", "type": "quantitative", "title": "observed", **unit}
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "style": "threshold"},
        "encoding": {"x": x, "y": y},
    }
    whisker = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    tooltip = [
        {"field": "x", "type": "quantitative", "title": "predicted", "format": ".2%"},
        {"field": "y", "type": "quantitative", "title": "observed", "format": ".2%"},
    ]
    layers = [
        diagonal,
        {"mark": {"type": "rule", "style": "whisker"}, "encoding": whisker},
        {"mark": {"type": "point", "style": "dot"}, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
    ]
    return _spec(points, {"layer": layers}, height)


def rows_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the data of a spec made here, for the table under the chart."""
    return list(spec["data"]["values"])


def themed(spec: Mapping[str, Any], theme: Theme) -> Spec:
    """Return `spec` in the colours of `theme` and of a fixed width, for drawing outside a page."""
    width = spec.get("width")
    return {**spec, "width": 640 if width in {None, "container"} else width, "config": theme_config(theme)}


def theme_configs() -> dict[Theme, Spec]:
    """Return the configuration of both themes; pages load it as `chart-themes.json`."""
    return {theme: theme_config(theme) for theme in THEMES}


def theme_config(theme: Theme) -> Spec:
    """Return the Vega-Lite configuration that gives each role its colour, from the design tokens."""
    token = tokens(theme)
    ink, quiet, grid = token["ink"], token["ink-quiet"], token["line"]
    series = [token[f"series-{i}"] for i in range(1, 7)]
    # Numbers as colours; the end that is like the ground is left out.
    ramp = {"scheme": "viridis", "extent": [0, 0.88] if theme == "light" else [0.22, 1]}
    font = "Inter, Segoe UI, Roboto, Helvetica Neue, Liberation Sans, Arial, sans-serif"
    text = {"labelColor": quiet, "titleColor": quiet, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": 500}
    return {
        "background": "transparent" if theme == "light" else token["surface"],
        "font": font,
        "view": {"stroke": None},
        "mark": {"color": series[0]},
        "rule": {"color": quiet},
        "text": {"color": quiet},
        "padding": 4,
        "axis": {
            **text,
            "domainColor": grid,
            "tickColor": grid,
            "gridColor": grid,
            "labelPadding": 6,
            "titlePadding": 8,
        },
        "axisX": {"grid": False, "labelSeparation": 10},
        "axisY": {"domain": False, "ticks": False, "tickCount": 4},
        "legend": {**text, "labelColor": ink, "orient": "top", "symbolSize": 80, "offset": 4},
        "range": {"category": series, "ramp": ramp},
        "style": {
            "series": {"strokeWidth": 1.75, "strokeJoin": "round"},
            "band": {"fillOpacity": 0.16, "strokeOpacity": 0},
            "interval": {"color": series[0], "strokeWidth": 2.5, "strokeCap": "round", "opacity": 0.45},
            "ahead": {"color": quiet, "fillOpacity": 0.22, "stroke": quiet, "strokeDash": [3, 3], "strokeOpacity": 0.7},
            "share": {"cornerRadiusTopLeft": 2, "cornerRadiusTopRight": 2},
            "whisker": {"color": ink, "strokeWidth": 1.5},
            "threshold": {"color": quiet, "strokeDash": [4, 3], "strokeWidth": 1.25},
            "rule-label": {"fontSize": 11, "align": "right", "baseline": "bottom", "dx": -4, "dy": -3},
            "rule-head": {"fontSize": 11, "align": "center", "baseline": "bottom", "dy": -4},
            # Beneath words that stand on lines.
            "halo": {"stroke": token["surface"], "strokeWidth": 4, "strokeOpacity": 0.9, "strokeJoin": "round"},
            "dot": {"filled": True, "size": 48, "opacity": 1},
        },
    }


def _kind(x: datetime | float | str) -> Kind:
    if isinstance(x, datetime):
        return "temporal"
    return "ordinal" if isinstance(x, str) else "quantitative"


def _time_unit(kind: Kind) -> dict[str, str]:
    # Without it the tooltip would speak of the browser's own time zone.
    return {"timeUnit": "utcyearmonthdatehoursminutes"} if kind == "temporal" else {}


def _rules(rules: Sequence[Rule]) -> list[Spec]:
    layers: list[Spec] = []
    for rule in rules:
        line_mark = {"type": "rule", "style": "threshold"}
        label = {"type": "text", "style": "rule-label", "text": rule.label}
        layers.append({"data": _ONCE, "mark": line_mark, "encoding": {"y": {"datum": rule.y}}})
        layers.append({"data": _ONCE, "mark": label, "encoding": {"y": {"datum": rule.y}, "x": {"value": "width"}}})
    return layers


def _spec(rows: Sequence[Point] | Sequence[Bin], body: Spec, height: int) -> Spec:
    values = [
        {
            name: iso(value) if isinstance(value, datetime) else value
            for name, value in msgspec.structs.asdict(row).items()
        }
        for row in rows
    ]
    return {"$schema": SCHEMA, "width": "container", "height": height, "data": {"values": values}, **body}
