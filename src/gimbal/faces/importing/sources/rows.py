"""Rows of history as W&B and Trackio keep them: a mapping for each step, of which numbers are points of metrics.

What is no number (texts, tables, images by their path) stays in a file of the run, row by row, so that nothing is lost.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from gimbal.faces.client.wire import jsonable
from gimbal.faces.importing.records import Points, SourceFile, made

REST = "import/history.jsonl"
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DEEPEST = 20


class Rows:
    """The history of one run."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self._rest: list[bytes] = []
        self.last_step = 0
        self.last_us = 0

    def add(self, values: Mapping[str, Any], step: int, at_us: int, prefix: str = "") -> None:
        """Add what was logged at one step."""
        rest: dict[str, Any] = {}
        for name, value in flat(values):
            number = as_number(value)
            if number is None:
                rest[f"{prefix}{name}"] = value
            else:
                self.points.add(f"{prefix}{name}", step, at_us, number)
        if rest:
            row = {"step": step, "at_us": at_us, "values": jsonable(rest)}
            self._rest.append(json.dumps(row, ensure_ascii=False).encode())
        self.last_step, self.last_us = max(self.last_step, step), max(self.last_us, at_us)

    def files(self) -> list[SourceFile]:
        """Return the file of what is no number, when there is any."""
        return [made(REST, b"\n".join(self._rest) + b"\n")] if self._rest else []


def as_number(value: object) -> float | None:
    """Return a value as a number; None for what is none. Infinities and NaN may come as texts."""
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return _NAMED.get(value) if isinstance(value, str) else None


def flat(values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield names and values with the names of mappings in mappings joined by dots; media stay whole."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value and "_type" not in value and depth < _DEEPEST:
            yield from flat(cast("Mapping[str, Any]", value), f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", value
