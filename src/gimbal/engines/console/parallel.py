"""Parallel coordinates: one upright axis per column, one line per run across them all."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.engines.console.charts import SCHEMA, Spec
from gimbal.engines.console.run_charts import reaches_far
from gimbal.kernel.errors import BadInput

MOST_AXES = 12
_LONG = 1_000_000
"""From here on whole numbers are shortened."""
_TICKS = 5


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    name: str
    values: Mapping[str, float | str | None]
    """By column; None where the run has none, which breaks its line."""


def parallel(runs: Sequence[Line], axes: Sequence[str], *, height: int = 360) -> Spec:
    """Return the chart; the colour is that of the last axis where it is of numbers."""
    axes = list(dict.fromkeys(axes))
    if not 2 <= len(axes) <= MOST_AXES:
        raise BadInput(f"There are 2 to {MOST_AXES} axes, not {len(axes)}.", where="by", todo="Choose other columns.")
    scales = [_Scale(axis, [run.values.get(axis) for run in runs]) for axis in axes]
    last = scales[-1]
    rows: list[dict[str, Any]] = []
    for run in runs:
        tint = last.number(run.values.get(last.name))
        for place, scale in enumerate(scales):
            value = run.values.get(scale.name)
            level_of = scale.level(value)
            shown = None if level_of is None else value
            rows.append({"series": run.name, "axis": place, "level": level_of, "value": shown, "colour": tint})
    if not any(row["level"] is not None for row in rows):
        raise BadInput("No run has any of these columns.", where="by", todo="Choose columns that these runs have.")
    ends = [{"axis": place, "name": _short(scale.name)} for place, scale in enumerate(scales)]
    ticks = [
        {"axis": place, "level": level, "text": text}
        for place, scale in enumerate(scales)
        for level, text in scale.ticks()
    ]
    # Room at the sides for the words of the first and the last axis.
    x: Spec = {"field": "axis", "type": "quantitative", "axis": None, "scale": {"domain": [-0.35, len(axes) - 0.45]}}
    level: Spec = {"type": "quantitative", "axis": None, "scale": {"domain": [0, 1.1]}}
    y: Spec = {**level, "field": "level"}
    tooltip = [{"field": "series", "type": "nominal", "title": "run"}]
    colour: Spec = {"field": "colour", "type": "quantitative", "title": _short(last.name)}
    many = len(runs) > 40
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 1 if many else 1.75, "opacity": 0.5 if many else 0.85},
        "encoding": {
            "x": x,
            "y": y,
            "detail": {"field": "series", "type": "nominal"},
            "tooltip": tooltip,
            **({"color": colour} if last.numbers else {}),
        },
    }
    rule = {
        "data": {"values": ends},
        "mark": {"type": "rule", "style": "threshold", "strokeDash": [1, 0]},
        "encoding": {"x": x, "y": {**level, "datum": 0}, "y2": {"datum": 1}},
    }
    heads = {
        "data": {"values": ends},
        "mark": {"type": "text", "fontWeight": 600, "baseline": "bottom", "limit": 130},
        "encoding": {"x": x, "y": {**level, "datum": 1.05}, "text": {"field": "name"}},
    }
    words: Spec = {
        "data": {"values": ticks},
        "mark": {"type": "text", "align": "right", "dx": -6, "limit": 70},
        "encoding": {"x": x, "y": y, "text": {"field": "text"}},
    }
    ground = {**words, "mark": {**words["mark"], "style": "halo"}}
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": rows},
        "layer": [rule, line, ground, words, heads],
    }


def _short(column: str) -> str:
    """Return the name in `params.depth`: that it is a parameter is seen from where it stands."""
    kind, dot, name = column.partition(".")
    return name if dot and kind in {"params", "metrics", "tags"} else column


class _Scale:
    """How the values of one column lie on an axis from 0 to 1."""

    def __init__(self, name: str, values: Sequence[float | str | None]) -> None:
        self.name = name
        known = [value for value in values if value is not None]
        self.numbers = bool(known) and all(isinstance(value, float | int) for value in known)
        finite = [float(value) for value in known if isinstance(value, float | int) and math.isfinite(value)]
        self._low, self._high = (min(finite), max(finite)) if finite else (0.0, 0.0)
        # Learning rates and the like go over many sizes: on an even axis all but the largest would lie at its foot.
        self._log = self.numbers and reaches_far(finite)
        self._whole = self.numbers and all(isinstance(value, int) for value in known)
        self._names = sorted({str(value) for value in known})

    def number(self, value: float | str | None) -> float | None:
        return float(value) if self.numbers and isinstance(value, float | int) and math.isfinite(value) else None

    def level(self, value: float | str | None) -> float | None:
        if value is None:
            return None
        if not self.numbers:
            return self._names.index(str(value)) / (len(self._names) - 1) if len(self._names) > 1 else 0.5
        number = self.number(value)
        if number is None:
            return None
        if self._high == self._low:
            return 0.5
        if self._log:
            return math.log(number / self._low) / math.log(self._high / self._low)
        return (number - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        if not self.numbers:
            step = max(1, math.ceil(len(self._names) / 8))
            return [(self.level(name) or 0.0, name) for name in self._names[::step]]
        if self._high == self._low:
            return [(0.5, f"{self._low:.4g}")]
        levels = [place / (_TICKS - 1) for place in range(_TICKS)]
        if self._whole and self._high < _LONG:
            places = sorted({round(self._at(level)) for level in levels})
            return [(self.level(place) or 0.0, str(place)) for place in places]
        return [(level, f"{self._at(level):.3g}") for level in levels]

    def _at(self, level: float) -> float:
        if self._log:
            return self._low * (self._high / self._low) ** level
        return self._low + level * (self._high - self._low)
