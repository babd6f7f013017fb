"""Columns of runs: what tables, groups and charts call `params.depth`, `metrics.auc`, `tags.team` or `name`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gimbal.axis.runs.charts.model import ComparedRow, ComparedRun, Comparison
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import Run
from gimbal.kernel.errors import BadInput

OWN = ("name", "experiment", "status", "group", "user", "created_by", "started_at", "duration")
"""What every run has without being logged."""
_KINDS = ("params", "tags", "metrics")


def check(column: str) -> str:
    """Return a column that there can be; raise BadInput otherwise."""
    kind, dot, name = column.partition(".")
    if column in OWN or (kind in _KINDS and dot and name):
        return column
    raise BadInput(
        f"{column[:80]!r} is not a column of runs.",
        where="column",
        todo=f"Write params.NAME, metrics.NAME, tags.NAME or one of {', '.join(OWN)}.",
    )


def value_of(run: Run | RunRow, column: str) -> Any:
    """Return what a run has in a column; None where it has nothing."""
    kind, dot, name = column.partition(".")
    if dot and kind in _KINDS:
        return getattr(run, kind).get(name)
    if column == "duration":
        return (run.ended_at - run.started_at).total_seconds() if run.ended_at else None
    return getattr(run, column, None) if column in OWN else None


def axis_value(run: Run, column: str) -> float | str | None:
    """Return a column as a chart can place it: numbers, also such as were logged as text, and texts."""
    value = value_of(run, column)
    if value is None or (isinstance(value, float | int) and not isinstance(value, bool)):
        return value
    if column.startswith("metrics."):
        # NaN and the infinities: they have no place.
        return None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value[:60]
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else msgspec.json.encode(value).decode()[:60]


def names(runs: Iterable[Run]) -> list[str]:
    """Return every logged column of these runs: metrics, then parameters, then tags, each by name."""
    found: dict[str, set[str]] = {"metrics": set(), "params": set(), "tags": set()}
    for run in runs:
        for kind, known in found.items():
            known.update(getattr(run, kind))
    return [f"{kind}.{name}" for kind, known in found.items() for name in sorted(known)]


def compared(runs: Sequence[Run]) -> Comparison:
    """Return runs beside each other."""
    rows: list[ComparedRow] = []
    order = {"params": 0, "tags": 1, "metrics": 2}
    for column in sorted(names(runs), key=lambda one: (order[one.partition(".")[0]], one)):
        values = [value_of(run, column) for run in runs]
        written = {msgspec.json.encode(value) for value in values}
        rows.append(ComparedRow(column=column, values=values, same=len(written) == 1))
    shown = [
        ComparedRun(id=run.id, name=run.name, experiment=run.experiment, status=run.status, started_at=run.started_at)
        for run in runs
    ]
    return Comparison(runs=shown, rows=rows)
