"""Trackio's runs: one SQLite file for each project, opened read-only. Its package is not needed.

Tables: trackio/sqlite_storage.py of 0.2 to 0.43. Older files know a run by its name, newer ones by an id beside it.
"""

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from gimbal.axis.runs.imports.model import ImportedExperiment
from gimbal.faces.importing.reading import reading
from gimbal.faces.importing.records import NoModels, Problem, SourceRun, made, run_uuid
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.sources.folders import add_files, files_below
from gimbal.faces.importing.sources.rows import Rows, flat
from gimbal.kernel.clock import parse_time, to_us
from gimbal.kernel.errors import BadInput, GimbalError, NotFound

_KIND = "trackio"
_ENDINGS = frozenset({".db", ".sqlite"})
Row = dict[str, Any]


class Trackio(NoModels):
    """A folder of Trackio's, or one project's file in it."""

    def __init__(self, place: Path, chosen: Collection[str] = (), *, artifacts: bool = True) -> None:
        """Look for projects; raise NotFound for a place that is not there, BadInput when it has none."""
        if not place.exists():
            raise NotFound(
                f"There is no {place}.", where="source", todo="Trackio's folder is ~/.cache/huggingface/trackio."
            )
        files = [place] if place.is_file() else sorted(one for one in place.iterdir() if one.suffix in _ENDINGS)
        self._artifacts = artifacts
        wanted = Chosen(chosen)
        self._files = [one for one in files if _has_metrics(one) and wanted.takes(one.stem)]
        if not self._files and wanted.all:
            raise BadInput(
                f"{place} has no project of Trackio: no .db file with a table metrics.",
                where="source",
                todo="Give the folder that TRACKIO_DIR names, or one project's file.",
            )
        wanted.check()

    def experiments(self) -> list[ImportedExperiment]:
        """Return the projects."""
        return [ImportedExperiment(name=one.stem) for one in self._files]

    def count(self) -> int | None:
        """Return how many runs there are."""
        return sum(len(_names(one)) for one in self._files)

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs, project by project."""
        for path in self._files:
            for name, own_id in _names(path):
                yield reading(f"{path}: {name}", lambda p=path, n=name, o=own_id: self._run(p, n, o))

    def _run(self, path: Path, name: str, own_id: str) -> SourceRun:
        run = _run(path, name, own_id)
        media = path.parent / "media" / path.stem
        for folder in dict.fromkeys((own_id, name)) if self._artifacts else ():
            if folder and Path(folder).name == folder:
                add_files(files_below(media / folder, "media/"), run.files, run.problems)
        return run


def _run(path: Path, name: str, own_id: str) -> SourceRun:
    where = f"{path}: {name}"
    problems: list[Problem] = []
    config = next((_json(row["config"], where, problems) for row in _rows(path, "configs", name, own_id)), {})
    run = SourceRun(
        id=run_uuid(_KIND, path.stem, own_id or name),
        origin=f"{_KIND}:{path.stem}/{own_id or name}",
        where=where,
        name=name,
        experiment=path.stem,
        status="finished",
        started_us=_us(config.get("_Created"), 0),
        user=str(config.get("_Username") or ""),
        group=str(config.get("_Group") or ""),
        params=dict(flat({key: value for key, value in config.items() if not key.startswith("_")})),
        problems=problems,
    )
    rows = Rows(run.points)
    for row in _rows(path, "metrics", name, own_id):
        rows.add(_json(row["metrics"], where, problems), int(row["step"]), _us(row["timestamp"], run.started_us))
    for at, row in enumerate(_rows(path, "system_metrics", name, own_id)):
        rows.add(_json(row["metrics"], where, problems), at, _us(row["timestamp"], run.started_us), "system/")
    run.started_us = run.started_us or min(run.points.times, default=0)
    run.ended_us = max(rows.last_us, run.started_us)
    if alerts := list(_rows(path, "alerts", name, own_id)):
        run.files.append(made("import/alerts.json", json.dumps(alerts, default=str).encode()))
    run.files += rows.files()
    return run


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        yield db


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}


def _has_metrics(path: Path) -> bool:
    try:
        with _opened(path) as db:
            return {"run_name", "step", "metrics", "timestamp"} <= _columns(db, "metrics")
    except sqlite3.Error:
        return False


def _names(path: Path) -> list[tuple[str, str]]:
    """Return names and ids (empty where there are none) of the runs of a project, in the order of their beginning."""
    found: dict[tuple[str, str], None] = {}
    with _opened(path) as db:
        for table in ("configs", "metrics"):
            columns = _columns(db, table)
            if "run_name" in columns:
                own_id = "run_id" if "run_id" in columns else "''"
                asked = f"SELECT run_name, {own_id} AS run_id, min(id) FROM {table} GROUP BY 1, 2 ORDER BY 3"
                found |= {(str(row["run_name"]), str(row["run_id"] or "")): None for row in db.execute(asked)}
    return list(found)


def _rows(path: Path, table: str, name: str, own_id: str) -> Iterator[Row]:
    with _opened(path) as db:
        columns = _columns(db, table)
        if "run_name" not in columns:
            return
        where, values = ("run_name = ?", [name])
        if own_id and "run_id" in columns:
            where, values = "run_name = ? AND run_id = ?", [name, own_id]
        for row in db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY id", values):
            yield dict(row)


def _json(text: str | bytes, where: str, problems: list[Problem]) -> Row:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    problems.append(Problem(where, f"A row is no JSON object ({text[:40]!r}); the others are kept."))
    return {}


def _us(text: object, otherwise: int) -> int:
    try:
        return to_us(parse_time(str(text))) if text else otherwise
    except GimbalError:
        return otherwise
