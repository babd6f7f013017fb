"""What the console's pages of runs share: which runs an address asks for, their columns, groups, and the charts' questions."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.runs.charts.columns import OWN, axis_value, names, value_of
from gimbal.axis.runs.model import Run
from gimbal.engines.console.pages import PageRequest

SYSTEM = "system/"
"""Metrics of the machine stand under this name, apart from what is learned."""
MOST_CHARTS = 200
_FIRST_COLUMNS = 3
_ORDERED = {"name": "run_name", "status": "status", "user": "user_id", "started_at": "start_time"}
_WORD = re.compile(r"[^a-z0-9]+")
_UNSEEN = {"val", "valid", "validation", "test", "eval", "holdout", "dev"}
_JUDGED = {"loss", "accuracy", "acc", "auc", "f1", "score", "error", "rmse", "mae", "mse", "r2", "reward", "perplexity"}
ACROSS = (("", "Steps"), ("relative", "Time since start"), ("time", "Clock"))
LOGS = (("", "Even"), ("y", "Log of the value"), ("x", "Log of the step"), ("xy", "Both log"))
SMOOTH = (("", "Off"), "0.5", "0.7", "0.8", "0.9", "0.95", "0.99")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that are equal in one column."""

    key: str
    """How the address calls it."""
    label: str
    runs: list[Run]
    cells: list[str]
    """For each column the mean and its deviation, the one text that all share, or how many different ones there are."""
    open: bool
    """Whether its runs are shown."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A chart that the browser asks for when it comes into view."""

    title: str
    ask: dict[str, Any]
    """What `runs.chart` is asked, beside what all charts of the page have in common."""
    href: str = ""
    """Where more of it is."""


def default_columns(runs: Sequence[Run]) -> list[str]:
    """Return what a table shows where nobody chose: some metrics, and the parameters that differ."""
    every = [name for name in names(runs) if not name.startswith(f"metrics.{SYSTEM}")]
    metrics = sorted((name for name in every if name.startswith("metrics.")), key=telling)[:_FIRST_COLUMNS]
    params = [name for name in every if name.startswith("params.")]
    different = [name for name in params if len({str(value_of(run, name)) for run in runs}) > 1]
    return metrics + (different or params)[: _FIRST_COLUMNS - 1]


def telling(metric: str) -> tuple[int, str]:
    """Return what sorts metrics by how likely they are what runs are judged by: those of unseen data, then losses."""
    words = set(_WORD.split(metric.lower()))
    return (0 if words & _UNSEEN else 1 if words & _JUDGED else 2), metric


def order_of(sort: str) -> list[str]:
    """Return the order that a head of the table asks for, `-` in front for the largest first; none for what has none."""
    column = sort.removeprefix("-")
    way = "DESC" if sort.startswith("-") else "ASC"
    kind, dot, name = column.partition(".")
    if column in _ORDERED:
        return [f"attributes.{_ORDERED[column]} {way}"]
    if dot and name and kind in {"metrics", "params", "tags"} and "`" not in name:
        return [f"{kind}.`{name}` {way}"]
    return []


def groups(runs: Sequence[Run], column: str, columns: Sequence[str], opened: Sequence[str]) -> list[Group]:
    """Return runs put together by one column, in the order in which they come."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        value = value_of(run, column)
        found.setdefault("" if value is None else str(value), []).append(run)
    return [
        Group(
            key=key or "-",
            label=key or "none",
            runs=members,
            cells=[_together(members, name) for name in columns],
            open=(key or "-") in opened,
        )
        for key, members in found.items()
    ]


def _together(runs: Sequence[Run], column: str) -> str:
    values = [value for run in runs if (value := axis_value(run, column)) is not None]
    if not values:
        return ""
    numbers = [float(value) for value in values if isinstance(value, float | int)]
    different = {str(value) for value in values}
    if len(numbers) < len(values):
        return str(values[0]) if len(different) == 1 else f"{len(different)} different"
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return f"{mean:.4g}"
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in numbers) / (len(numbers) - 1))
    return f"{mean:.4g} ± {spread:.2g}"


def shown(value: Any) -> str:
    """Return a value as a cell shows it; an empty text for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | list | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


def metric_names(runs: Sequence[Run], *, system: bool = False, containing: str = "") -> list[str]:
    """Return the metrics of these runs by name: of the machine, or the others."""
    found = {name for run in runs for name in run.metrics}
    words = containing.lower()
    return sorted(name for name in found if name.startswith(SYSTEM) == system and words in name.lower())


def figures(metrics: Sequence[str], **more: Any) -> list[Figure]:
    """Return one line chart per metric."""
    return [Figure(title=name, ask={"metric": name, "named": False, **more}) for name in metrics[:MOST_CHARTS]]


def looks(request: PageRequest) -> dict[str, Any]:
    """Return how lines are drawn, as the address says it; what it cannot mean is left out."""
    found: dict[str, Any] = {}
    if request.query.get("x") in {"relative", "time"}:
        found["x"] = request.query["x"]
    if request.query.get("log") in {"x", "y", "xy"}:
        found["log"] = request.query["log"]
    try:
        smooth = float(request.query.get("smooth", "") or 0)
    except ValueError:
        smooth = 0.0
    if 0 < smooth < 1:
        found["smooth"] = smooth
    return found


def column_choices(runs: Sequence[Run]) -> list[str]:
    """Return the columns that a table can show of these runs, machine metrics last."""
    every = names(runs)
    machine = [name for name in every if name.startswith(f"metrics.{SYSTEM}")]
    return [name for name in every if name not in machine] + machine


def band_choices(runs: Sequence[Run]) -> list[str]:
    """Return the columns by which at least two of these runs are equal and not all of them."""
    found: list[str] = []
    for column in [*OWN[:5], *(name for name in names(runs) if not name.startswith("metrics."))]:
        values = [str(value_of(run, column)) for run in runs]
        if 1 < len(set(values)) < len(values) or (len(set(values)) == 1 and column in {"experiment", "name"}):
            found.append(column)
    return found
