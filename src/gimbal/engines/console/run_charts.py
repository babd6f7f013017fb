"""Charts of runs as Vega-Lite specs: curves of many runs, scatter plots, and surfaces over two parameters.

What costs work (smoothing, bands, surfaces) is done before the spec is made, so that a browser only draws. Runs keep the
place that they were given in: the first has the first colour in every chart of a page.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from gimbal.engines.console.charts import SCHEMA, Spec
from gimbal.kernel.errors import BadInput

Log = Literal["", "x", "y", "xy"]
Across = Literal["step", "time", "relative"]
MOST_NAMED = 10
"""Up to so many series have a legend; more are told by what the pointer is on."""
LEAST_DOTS = 4
"""So many runs are needed for a surface."""
_MOST_MARKED = 3_000
_FAINT = 12
_CELLS = 28
"""Of a surface, along each of its sides."""
_WIDE = 50
"""Times the least of them, and values are told apart on a logarithmic axis only."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a chart."""

    name: str
    xs: list[float]
    """Steps, seconds since the start, or milliseconds since 1970."""
    ys: list[float | None]
    """None is a gap."""
    raw: list[float | None] | None = None
    """The values before they were smoothed."""
    low: list[float | None] | None = None
    """Lower edge of the band."""
    high: list[float | None] | None = None


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a scatter plot."""

    name: str
    x: float | str
    y: float | str
    colour: float | None = None


def smoothed(xs: Sequence[float], ys: Sequence[float | None], weight: float) -> list[float | None]:
    """Return the exponential moving average without the pull of its start; `weight` 0 leaves the values as they are.

    The weight is that of one average distance between points; points that lie closer count for less, so that it does
    not matter that the server keeps more of them where a curve is wild.
    """
    known = [x for x, y in zip(xs, ys, strict=True) if y is not None]
    if not weight or len(known) < 2:
        return list(ys)
    apart = (known[-1] - known[0]) / (len(known) - 1)
    mean, mass, before = 0.0, 0.0, known[0] - apart
    found: list[float | None] = []
    for x, y in zip(xs, ys, strict=True):
        if y is None:
            found.append(None)
            continue
        keep = weight ** ((x - before) / apart) if apart > 0 else weight
        mean, mass, before = keep * mean + (1 - keep) * y, keep * mass + (1 - keep), x
        found.append(mean / mass if mass > 0 else y)
    return found


def lines(
    curves: Sequence[Curve],
    *,
    y_title: str = "",
    across: Across = "step",
    log: Log = "",
    named: bool = True,
    height: int = 240,
) -> Spec:
    """Return one line per curve, with its band or its faint values before smoothing where it has them.

    Without `named` there is no legend: what stands around the chart says which colour is which.
    """
    rows = [row for curve in curves for row in _rows(curve, log)]
    if not rows:
        raise BadInput(
            "There is nothing to draw.", where="curves", todo="A logarithmic axis shows values above zero only."
        )
    names = list(dict.fromkeys(curve.name for curve in curves))
    kind = "temporal" if across == "time" else "quantitative"
    x: Spec = {"field": "x", "type": kind, "title": {"step": "step", "time": None, "relative": "seconds"}[across]}
    if across == "time":
        x |= {"scale": {"type": "utc"}, "axis": {"format": {"hours": "%H:%M", "minutes": "%H:%M"}}}
    elif "x" in log:
        x["scale"] = {"type": "log"}
    elif across == "step":
        x["axis"] = {"tickMinStep": 1, "tickCount": 6}
    y: Spec = {"field": "y", "type": "quantitative", "title": y_title or None, "scale": {"zero": False}}
    if "y" in log:
        y |= _log_axis(rows)
    colour = _colour("series", names, named=named)
    layers: list[Spec] = []
    if any(curve.low is not None for curve in curves):
        band = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour}
        layers.append({"mark": {"type": "area", "opacity": 0.16, "clip": True}, "encoding": band})
    faint = any(curve.raw is not None for curve in curves) and len(curves) <= _FAINT
    if faint:
        encoding = {"x": x, "y": {**y, "field": "raw"}, "color": colour}
        layers.append({"mark": {"type": "line", "strokeWidth": 1, "opacity": 0.28}, "encoding": encoding})
    main = {"type": "line", "style": "series"} | ({"strokeWidth": 1, "opacity": 0.55} if len(names) > 30 else {})
    layers.append({"mark": main, "encoding": {"x": x, "y": y, "color": colour, "tooltip": [_told("series", "run")]}})
    if len(rows) <= _MOST_MARKED:
        # A line answers the pointer with its first point only; these answer with the one that is near.
        tooltip = [_told("series", "run"), {**_told("x", across), "type": kind}, _number("y", y_title or "value")]
        if kind == "temporal":
            tooltip[1] |= {"timeUnit": "utcyearmonthdatehoursminutesseconds"}
        if any(curve.low is not None for curve in curves):
            tooltip += [_number("low", "from"), _number("high", "to")]
        shown = len(rows) <= 60
        mark = {"type": "point", "filled": True, "size": 28 if shown else 90, "opacity": 1 if shown else 0}
        layers.append({"mark": mark, "encoding": {"x": x, "y": y, "color": colour, "tooltip": tooltip}})
    return _spec(rows, {"layer": layers}, height)


def scatter(
    dots: Sequence[Dot], *, x_title: str, y_title: str, colour_title: str = "", log: Log = "", height: int = 320
) -> Spec:
    """Return one dot per run; texts make an axis of names."""
    rows: list[dict[str, Any]] = [
        {"series": dot.name, "x": dot.x, "y": dot.y, "colour": dot.colour}
        for dot in dots
        if _fits(dot.x, "x" in log) and _fits(dot.y, "y" in log)
    ]
    if not rows:
        raise BadInput("No run has both values.", where="by", todo="Choose columns that these runs have.")
    encoding: Spec = {}
    for place, title in (("x", x_title), ("y", y_title)):
        numbers = all(isinstance(row[place], float | int) for row in rows)
        encoding[place] = {"field": place, "type": "quantitative" if numbers else "nominal", "title": title}
        if numbers:
            encoding[place]["scale"] = {"type": "log"} if place in log else {"zero": False}
    encoding["tooltip"] = [_told("series", "run"), _any("x", x_title, rows), _any("y", y_title, rows)]
    if colour_title and any(row["colour"] is not None for row in rows):
        encoding["color"] = {"field": "colour", "type": "quantitative", "title": colour_title}
        encoding["tooltip"].append(_number("colour", colour_title))
    return _spec(rows, {"mark": {"type": "point", "style": "dot", "opacity": 0.85}, "encoding": encoding}, height)


def contour(
    dots: Sequence[Dot], *, x_title: str, y_title: str, value_title: str, log: Log = "", height: int = 340
) -> Spec:
    """Return a surface of `colour` over two numbers, drawn in steps, with the runs that it comes from as dots.

    Between the runs it is a guess: the mean of all of them, weighted by the inverse square of the distance, which is
    that of the logarithms along a logarithmic axis. What has no place on such an axis is left out.
    """
    known = [
        (dot.name, float(dot.x), float(dot.y), dot.colour)
        for dot in dots
        if _whole(dot) and _fits(dot.x, "x" in log) and _fits(dot.y, "y" in log)
    ]
    xs, ys = _Axis([x for _, x, _, _ in known], log="x" in log), _Axis([y for _, _, y, _ in known], log="y" in log)
    if len(known) < LEAST_DOTS or not xs.cell or not ys.cell:
        raise BadInput(
            "A surface needs four runs or more whose two columns are numbers that differ.",
            where="by",
            todo="Choose other columns, or a scatter plot.",
        )
    placed = [(xs.cells(x), ys.cells(y), value) for _, x, y, value in known]
    rows: list[dict[str, Any]] = [
        {"x": xs.edge(i), "x2": xs.edge(i + 1), "y": ys.edge(j), "y2": ys.edge(j + 1), "value": _weighted(placed, i, j)}
        for i in range(_CELLS)
        for j in range(_CELLS)
    ]
    x: Spec = {"field": "x", "type": "quantitative", "title": x_title, "scale": xs.scale}
    y: Spec = {"field": "y", "type": "quantitative", "title": y_title, "scale": ys.scale}
    legend = {"type": "gradient", "gradientLength": 220, "labelOverlap": True, "format": ".3~g"}
    colour = {"field": "value", "type": "quantitative", "title": value_title, "scale": STEPS, "legend": legend}
    surface = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"field": "y2"}, "color": colour}
    # Edges in the colour of the inside: without them the ground shows between the cells.
    surface["stroke"] = colour
    found = [{"series": name, "x": at, "y": level, "value": value} for name, at, level, value in known]
    tooltip = [_told("series", "run"), _number("x", x_title), _number("y", y_title), _number("value", value_title)]
    points = {
        "data": {"values": found},
        "mark": {"type": "point", "filled": True, "size": 40, "color": "white", "stroke": "black", "opacity": 1},
        "encoding": {"x": x, "y": y, "tooltip": tooltip},
    }
    layers = [{"data": {"values": rows}, "mark": {"type": "rect", "strokeWidth": 1}, "encoding": surface}, points]
    # The runs are the data of the chart; the surface is made of them.
    return _spec(found, {"layer": layers}, height)


STEPS: Spec = {"type": "quantize", "scheme": {"name": "viridis", "count": 9}}
"""From dark to light, told apart by everyone."""


def _whole(dot: Dot) -> bool:
    return isinstance(dot.x, float | int) and isinstance(dot.y, float | int) and dot.colour is not None


class _Axis:
    """One side of a surface, cut into as many cells as long."""

    def __init__(self, values: Sequence[float], *, log: bool) -> None:
        self._log = log
        places = [self._place(value) for value in values]
        self._low = min(places, default=0.0)
        self.cell = (max(places, default=0.0) - self._low) / _CELLS
        self.scale: Spec = {"type": "log", "nice": False} if log else {"zero": False, "nice": False}

    def _place(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def cells(self, value: float) -> float:
        """Return how many cells a value is from the start."""
        return (self._place(value) - self._low) / self.cell if self.cell else 0.0

    def edge(self, number: int) -> float:
        """Return the value at the start of a cell."""
        place = self._low + number * self.cell
        return 10.0**place if self._log else place


def _weighted(placed: Sequence[tuple[float, float, Any]], i: int, j: int) -> float:
    total = mass = 0.0
    for across, up, value in placed:
        weight = 1 / ((across - i - 0.5) ** 2 + (up - j - 0.5) ** 2 + 0.25)
        total, mass = total + weight * value, mass + weight
    return total / mass


def reaches_far(values: Sequence[object]) -> bool:
    """Tell whether numbers are told apart on a logarithmic axis only."""
    numbers = [value for value in values if isinstance(value, float | int)]
    return len(numbers) == len(values) > 0 and min(numbers) > 0 and max(numbers) / min(numbers) >= _WIDE


def _fits(value: float | str, log: bool) -> bool:
    return isinstance(value, str) or (math.isfinite(value) and (not log or value > 0))


def _rows(curve: Curve, log: Log) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for place, x in enumerate(curve.xs):
        if "x" in log and x <= 0:
            continue
        row: dict[str, Any] = {"series": curve.name, "x": x, "y": _shown(curve.ys[place], log)}
        for name, values in (("raw", curve.raw), ("low", curve.low), ("high", curve.high)):
            if values is not None:
                row[name] = _shown(values[place], log)
        rows.append(row)
    return rows if any(row["y"] is not None for row in rows) else []


def _shown(value: float | None, log: Log) -> float | None:
    if value is None or not math.isfinite(value) or ("y" in log and value <= 0):
        return None
    return float(f"{value:.7g}")


def _log_axis(rows: Sequence[dict[str, Any]]) -> Spec:
    """Return a logarithmic axis with few ticks, that goes down no further than a tenth of the lowest line."""
    lines_ = [value for row in rows for name in ("y", "raw") if (value := row.get(name)) is not None]
    highs = [value for row in rows if (value := row.get("high")) is not None]
    lows = [value for row in rows if (value := row.get("low")) is not None]
    low = max(min([*lines_, *lows]), min(lines_) / 10) / 1.1
    high = max([*lines_, *highs]) * 1.1
    for row in rows:
        if row.get("low", 0) is None and row.get("high") is not None:
            # The band goes below zero, where this axis does not.
            row["low"] = low
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = max(1, (last - first) // 6)
    within = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [float(f"{step}e{power}") for power in range(first, last + 1, apart) for step in within]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis: Spec = {"format": "~r" if low > 1e-6 and high < 1e6 else "~e"}
    axis |= {"values": ticks} if len(ticks) > 1 else {"tickCount": 3}
    return {"scale": {"type": "log", "domain": [low, high], "nice": False}, "axis": axis}


def _colour(field: str, names: Sequence[str], *, named: bool) -> Spec:
    few = named and 1 < len(names) <= MOST_NAMED
    shape = {"columns": 3, "labelLimit": 150, "symbolOpacity": 1, "symbolType": "circle"}
    legend = shape if few else None
    return {"field": field, "type": "nominal", "title": None, "scale": {"domain": list(names)}, "legend": legend}


def _told(field: str, title: str) -> Spec:
    return {"field": field, "type": "nominal", "title": title}


def _number(field: str, title: str) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "format": ".5~g"}


def _any(field: str, title: str, rows: Sequence[dict[str, Any]]) -> Spec:
    numbers = all(isinstance(row[field], float | int) for row in rows)
    return _number(field, title) if numbers else _told(field, title)


def _spec(rows: Sequence[dict[str, Any]], body: Spec, height: int) -> Spec:
    fitted = {"type": "fit", "contains": "padding"}
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": fitted,
        "data": {"values": list(rows)},
        **body,
    }
