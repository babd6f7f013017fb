"""Neptune's runs from the folder that its exporter writes: Parquet with a row for each value, and files beside it.

Format: README and model.py of neptune-exporter. A folder for each project, `<run>_part_<n>.parquet` in it (`part_<n>.parquet`
with many runs in the first versions); files lie below another folder, mostly `files` beside `data`.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.runs.imports.model import ImportedExperiment
from gimbal.axis.runs.model import RunStatus
from gimbal.faces.client.wire import jsonable
from gimbal.faces.importing.reading import reading
from gimbal.faces.importing.records import NoModels, Problem, SourceFile, SourceRun, made, run_uuid
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.sources.folders import add_files, files_below
from gimbal.kernel.clock import to_us
from gimbal.kernel.errors import BadInput, NotFound

_KIND = "neptune"
_PART = "_part_"
_NEEDED = frozenset({"project_id", "run_id", "attribute_path", "attribute_type"})
_VALUES = {
    "float": "float_value",
    "int": "int_value",
    "string": "string_value",
    "bool": "bool_value",
    "datetime": "datetime_value",
    "string_set": "string_set_value",
}
_SERIES = {"string_series": "string_value", "histogram_series": "histogram_value"}
_FILES = frozenset({"file", "file_series", "file_set", "artifact"})
_KNOWN = frozenset({*_VALUES, *_SERIES, *_FILES, "float_series"})
_SYSTEM = "sys/"
_MOST_MULTIPLIER = 1_000_000
Row = dict[str, Any]


class Neptune(NoModels):
    """A folder of the exporter."""

    def __init__(
        self, folder: Path, files: Path | None = None, chosen: Collection[str] = (), *, artifacts: bool = True
    ) -> None:
        """Look for Parquet; `files` is where the files are, if not beside. Raise NotFound or BadInput without any."""
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.", where="source", todo="Give the exporter's --data-path.")
        data = folder / "data" if (folder / "data").is_dir() else folder
        self._files = files or next((one for one in (folder / "files", data.parent / "files") if one.is_dir()), None)
        self._artifacts = artifacts
        self._chosen = Chosen(chosen)
        self._groups: dict[tuple[Path, str], list[Path]] = {}
        for path in sorted(data.rglob("*.parquet")):
            if self._files is None or not path.is_relative_to(self._files):
                run = path.name.rpartition(_PART)[0] if _PART in path.name else ""
                self._groups.setdefault((path.parent, run), []).append(path)
        if not self._groups:
            raise BadInput(
                f"{folder} has no Parquet of Neptune's exporter.",
                where="source",
                todo="Run `neptune-exporter export`, and give the folder of its data.",
            )

    def experiments(self) -> list[ImportedExperiment]:
        """Return none: a project is known from its runs."""
        return []

    def count(self) -> int | None:
        """Return how many runs there are, where each has files of its own."""
        return len(self._groups) if all(run for _, run in self._groups) and self._chosen.all else None

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs by project; raise BadInput when one was asked for that is not among them."""
        for paths in self._groups.values():
            found: dict[tuple[str, str], list[pa.Table]] = {}
            for path in paths:
                table = reading(str(path), lambda path=path: pq.read_table(path))
                if isinstance(table, Problem):
                    yield table
                    continue
                if missing := sorted(_NEEDED - set(table.column_names)):
                    yield Problem(str(path), f"It has no column {missing[0]!r}, and is left out.")
                    continue
                for own, part in _apart(table):
                    found.setdefault(own, []).append(part)
            for (project, own_id), parts in found.items():
                if self._chosen.takes(project):
                    where = f"{project} {own_id}"
                    yield reading(where, lambda p=project, o=own_id, t=parts: self._run(p, o, t))
        self._chosen.check()

    def _run(self, project: str, own_id: str, parts: Sequence[pa.Table]) -> SourceRun:
        rows = [row for part in parts for row in part.to_pylist()]
        values = {row["attribute_path"]: _value(row) for row in rows if row["attribute_type"] in _VALUES}
        system = {path.removeprefix(_SYSTEM): value for path, value in values.items() if path.startswith(_SYSTEM)}
        started, ended = (
            _us(system.get("creation_time")),
            _us(system.get("modification_time") or system.get("ping_time")),
        )
        parent = system.get("forking/parent") or system.get("parent")
        run = SourceRun(
            id=run_uuid(_KIND, project, own_id),
            origin=f"{_KIND}:{project}/{own_id}",
            where=f"{project} {own_id}",
            name=str(system.get("name") or system.get("custom_run_id") or own_id),
            experiment=project,
            status=_status(system),
            stage="deleted" if system.get("trashed") is True else "active",
            started_us=started,
            ended_us=ended or None,
            user=str(system.get("owner") or ""),
            parent_id=run_uuid(_KIND, project, str(parent)) if parent else None,
            group=", ".join(system.get("group_tags") or []),
            note=str(system.get("description") or ""),
            params={path: value for path, value in values.items() if not path.startswith(_SYSTEM)},
            tags={f"neptune.{name}": _text(value) for name, value in system.items() if value is not None},
        )
        run.tags |= {str(tag): "true" for tag in system.get("tags") or []} | {"neptune.run_id": own_id}
        self._series(run, rows)
        if self._artifacts:
            self._add_files(run, [row for row in rows if row["attribute_type"] in _FILES])
        for kind in sorted({str(row["attribute_type"]) for row in rows} - _KNOWN):
            run.problems.append(
                Problem(f"{run.where}: {kind}", "Attributes of this type are not known, and are left out.")
            )
        if not run.started_us:
            run.started_us = min(run.points.times, default=0)
        return run

    def _series(self, run: SourceRun, rows: Sequence[Row]) -> None:
        """Add points; a step that is no whole number makes all steps of the run larger, by the same power of ten."""
        series = [row for row in rows if row["attribute_type"] == "float_series" and row["float_value"] is not None]
        factor = _factor([row["step"] for row in series])
        if factor > 1:
            run.tags["neptune.step_multiplier"] = str(factor)
        for row in series:
            step = int((row["step"] or 0) * factor)
            run.points.add(row["attribute_path"], step, _us(row["timestamp"]) or run.started_us, row["float_value"])
        others: dict[str, list[bytes]] = {}
        for row in rows:
            if (column := _SERIES.get(row["attribute_type"])) is not None:
                told = {"step": _text(row["step"]), "at_us": _us(row["timestamp"]), "value": jsonable(row[column])}
                others.setdefault(row["attribute_path"], []).append(json.dumps(told, ensure_ascii=False).encode())
        run.files += [made(f"series/{path}.jsonl", b"\n".join(lines) + b"\n") for path, lines in others.items()]

    def _add_files(self, run: SourceRun, rows: Sequence[Row]) -> None:
        for row in rows:
            told = (row.get("file_value") or {}).get("path")
            where = f"{run.where}: {row['attribute_path']}"
            if not told:
                continue
            if self._files is None:
                run.problems.append(Problem(where, "The folder of files is not beside the data; give it with --files."))
                continue
            path = self._files / told
            if not path.resolve().is_relative_to(self._files.resolve()) or path.is_symlink():
                run.problems.append(
                    Problem(where, f"Its path {told!r} leads out of the folder of files; it is left out.")
                )
            elif path.is_dir():
                add_files(files_below(path, f"{row['attribute_path']}/"), run.files, run.problems)
            elif path.is_file():
                run.files.append(SourceFile(_file_path(row, path), path, path.stat().st_size))
            else:
                run.problems.append(Problem(where, f"There is no file {path}."))


def _apart(table: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    """Yield the rows of each run."""
    pairs = list(zip(table.column("project_id").to_pylist(), table.column("run_id").to_pylist(), strict=True))
    own = dict.fromkeys(pairs)
    if len(own) == 1:
        yield pairs[0], table
        return
    for one in own:
        yield one, table.take(pa.array([at for at, pair in enumerate(pairs) if pair == one]))


def _file_path(row: Row, path: Path) -> str:
    """Return where a file stands in the run: under its attribute, with the ending of the file; of a series by step."""
    name = str(row["attribute_path"])
    if row["attribute_type"] == "file_series":
        return f"{name}/step_{_text(row['step'])}{path.suffix}"
    return name if name.endswith(path.suffix) else f"{name}{path.suffix}"


def _value(row: Row) -> Any:
    value = row.get(_VALUES[row["attribute_type"]])
    return value.isoformat() if isinstance(value, datetime) else value


def _status(system: Row) -> RunStatus:
    if system.get("failed") is True:
        return "failed"
    return "running" if str(system.get("state", "")).lower() in {"active", "running"} else "finished"


def _factor(steps: Sequence[Decimal | None]) -> int:
    factor = 1
    while factor < _MOST_MULTIPLIER and any(step is not None and (step * factor) % 1 for step in steps):
        factor *= 10
    return factor


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _us(value: object) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return 0
    return to_us(value) if isinstance(value, datetime) and value.tzinfo is not None else 0
