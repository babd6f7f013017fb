"""W&B's runs from folders: those that its client writes (`run-*`, `offline-run-*`), and exports made by its public API.

A folder of an export is one run: `history.jsonl`, `.json`, `.csv` or `.parquet` with a row for each step, and beside it, as
far as there are, `config.json`, `summary.json`, `metadata.json` (or `run.json`, `wandb-metadata.json`) and `files/`.
"""

import csv
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pyarrow.parquet as pq
import yaml

from gimbal.axis.runs.imports.model import ImportedExperiment
from gimbal.axis.runs.model import RunStatus
from gimbal.faces.importing.reading import reading
from gimbal.faces.importing.records import NoModels, Problem, SourceRun, made, run_uuid
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.sources.folders import add_files, files_below
from gimbal.faces.importing.sources.rows import Rows, flat
from gimbal.faces.importing.sources.wandb_records import recorded
from gimbal.kernel.clock import parse_time, to_us
from gimbal.kernel.errors import BadInput, GimbalError, NotFound

_KIND = "wandb"
_OWN = ("_step", "_timestamp", "_runtime", "_wandb")
_MORE = "cells without a name"
_LONGEST_CELL = 64 * 2**20
_HISTORIES = ("history.jsonl", "history.json", "history.parquet", "history.csv")
_CONFIGS = ("config.json", "config.yaml")
_SUMMARIES = ("summary.json", "wandb-summary.json")
_METADATA = ("metadata.json", "run.json", "wandb-metadata.json")
_STATES: dict[str, RunStatus] = {
    "finished": "finished",
    "running": "running",
    "failed": "failed",
    "crashed": "failed",
    "killed": "killed",
    "preempted": "killed",
    "pending": "scheduled",
}
Json = dict[str, Any]


class Wandb(NoModels):
    """A folder with runs of W&B somewhere below it."""

    def __init__(
        self, folder: Path, chosen: Collection[str] = (), *, links: bool = False, artifacts: bool = True
    ) -> None:
        """Look for runs; take what links lead to where `links` says so. Raise NotFound without a folder, BadInput when there is no run in it."""
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.", where="source", todo="Give the folder of the export.")
        self._links = links
        self._artifacts = artifacts
        self._chosen = Chosen(chosen)
        self._problems: list[Problem] = []
        self._folders = list(_runs_below(folder, self._problems))
        if not self._folders and not self._problems:
            raise BadInput(
                f"{folder} has no run of W&B: no run-*.wandb, and no {' or '.join(_HISTORIES[:2])}.",
                where="source",
                todo="See `docs/how-to/import-runs.md` for the layouts that are read.",
            )

    def experiments(self) -> list[ImportedExperiment]:
        """Return none: a project is known from its runs."""
        return []

    def count(self) -> int | None:
        """Return how many runs there are."""
        return len(self._folders) if self._chosen.all else None

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs by folder; raise BadInput when one was asked for that is not among them."""
        yield from self._problems
        for folder in self._folders:
            one = reading(str(folder), lambda folder=folder: self._run(folder))
            if isinstance(one, Problem) or self._chosen.takes(one.experiment):
                yield one
        self._chosen.check()

    def _run(self, folder: Path) -> SourceRun:
        logs = sorted(folder.glob("*.wandb"))
        run = _recorded_run(folder, logs[0]) if logs else _exported_run(folder)
        if self._artifacts:
            add_files(files_below(folder / "files", links=self._links and bool(logs)), run.files, run.problems)
        return run


def _runs_below(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as problem:
        problems.append(Problem(str(folder), f"The folder cannot be read: {problem.strerror}; it is left out."))
        return
    if (
        any(name.endswith(".wandb") for name in names)
        or names & set(_HISTORIES)
        or (names & set(_CONFIGS) and names & {*_SUMMARIES, *_METADATA})
    ):
        yield folder
        return
    for name in sorted(names):
        path = folder / name
        # W&B's `latest-run` is a link to one that is found anyway.
        if path.is_dir() and not path.is_symlink():
            yield from _runs_below(path, problems)


def _recorded_run(folder: Path, log: Path) -> SourceRun:
    found = recorded(log)
    told = found.run
    code = found.exit_code
    run = _made(folder, told.get("id") or log.stem.removeprefix("run-"), told, found.tags)
    run.problems = found.problems
    run.status = "killed" if code is None else "failed" if code else "finished"
    run.error = "W&B noted no end of it." if code is None else f"It ended with the code {code}." if code else ""
    # Rows without a time of their own count from it.
    run.started_us = told.get("started_us") or run.started_us
    rows = Rows(run.points)
    for step, row in found.history:
        rows.add(_without_own(row), step, _row_us(row, run.started_us))
    for at, (at_us, row) in enumerate(found.system):
        rows.add(row, at, at_us, "system/")
    run.ended_us = max(rows.last_us, run.started_us + found.runtime_s * 1_000_000)
    beside = folder / "files"
    summary = found.summary or _json_of(beside, _SUMMARIES)
    _fill(run, found.config or _config_of(beside), summary, rows)
    if found.output and not (beside / "output.log").exists():
        run.files.append(made("output.log", "".join(found.output).encode()))
    return run


def _exported_run(folder: Path) -> SourceRun:
    told = _json_of(folder, _METADATA)
    own_id = str(told.get("id") or told.get("run_id") or folder.name)
    tags = told.get("tags")
    run = _made(folder, own_id, told, [str(tag) for tag in tags] if isinstance(tags, list) else [])
    run.status = _STATES.get(str(told.get("state", "finished")).lower(), "finished")
    rows = Rows(run.points)
    for at, row in enumerate(_history(folder, run.problems)):
        step = row.get("_step")
        if isinstance(step, str) or (step is not None and not math.isfinite(step)):
            run.problems.append(Problem(f"{folder}: row {at + 1}", f"{step!r} is no step; the other rows are kept."))
            continue
        rows.add(_without_own(row), at if step is None else int(step), _row_us(row, run.started_us))
    if not run.started_us and run.points.times:
        run.started_us = min(run.points.times)
    run.ended_us = rows.last_us or run.started_us
    _fill(run, _config_of(folder), _json_of(folder, _SUMMARIES), rows)
    return run


def _made(folder: Path, own_id: str, told: Json, tags: list[str]) -> SourceRun:
    entity, project = str(told.get("entity") or ""), str(told.get("project") or "")
    created = told.get("created_at") or told.get("startedAt") or told.get("started_at")
    started = 0
    if isinstance(created, str):
        try:
            started = to_us(parse_time(created))
        except GimbalError:
            started = 0
    user = told.get("user") or told.get("username") or ""
    own = {
        f"wandb.{name}": str(told[name])
        for name in ("entity", "project", "job_type", "sweep", "host", "url")
        if told.get(name)
    }
    git = {name: str(told[name]) for name in ("git.remote", "git.commit") if told.get(name)}
    return SourceRun(
        id=run_uuid(_KIND, entity, project, own_id),
        origin=f"{_KIND}:{entity}/{project}/{own_id}",
        where=str(folder),
        name=str(told.get("name") or told.get("display_name") or own_id),
        experiment=project or folder.parent.name or "default",
        status="finished",
        started_us=started,
        user=str(user.get("username", "")) if isinstance(user, dict) else str(user),
        group=str(told.get("group") or told.get("sweep") or ""),
        note=str(told.get("notes") or ""),
        tags={**dict.fromkeys(tags, "true"), **own, **git, "wandb.id": own_id},
    )


def _fill(run: SourceRun, config: Json, summary: Json, rows: Rows) -> None:
    """Add parameters, and what is in the summary only: it is newer than the history, or was never logged by step."""
    run.params = dict(flat({name: value for name, value in config.items() if name not in _OWN}))
    logged = set(run.points.names)
    only = {name: value for name, value in flat(_without_own(summary)) if name not in logged}
    rows.add(only, rows.last_step, run.ended_us or run.started_us)
    if summary:
        run.files.append(made("import/summary.json", json.dumps(summary, sort_keys=True).encode()))
    run.files += rows.files()


def _without_own(row: Mapping[str, Any]) -> Json:
    return {name: value for name, value in row.items() if name.partition(".")[0] not in _OWN and value is not None}


def _row_us(row: Mapping[str, Any], started_us: int) -> int:
    stamp, runtime = row.get("_timestamp"), row.get("_runtime")
    if isinstance(stamp, int | float) and math.isfinite(stamp):
        # Milliseconds in old versions.
        return int(stamp * (1_000_000 if stamp < 1e11 else 1000))
    return started_us + int(runtime * 1_000_000) if isinstance(runtime, int | float) else started_us


def _json_of(folder: Path, names: Collection[str]) -> Json:
    """Return what the files of these names say, the first of them most."""
    found: Json = {}
    for name in names:
        path = folder / name
        if path.is_file():
            told = json.loads(path.read_text(encoding="utf-8"))
            found = {**told, **found} if isinstance(told, dict) else found
    return found


def _config_of(folder: Path) -> Json:
    if (folder / "config.json").is_file():
        return _json_of(folder, ["config.json"])
    path = folder / "config.yaml"
    told: Any = yaml.safe_load(path.read_bytes()) if path.is_file() else {}
    if not isinstance(told, dict):
        return {}
    # W&B's own file has each value under `value`, with a description beside it.
    pairs = cast("dict[str, Any]", told).items()
    return {
        str(name): each["value"] if isinstance(each, dict) and "value" in each else each
        for name, each in pairs
        if name != "wandb_version"
    }


def _history(folder: Path, problems: list[Problem]) -> Iterator[Json]:
    path = next((folder / name for name in _HISTORIES if (folder / name).is_file()), None)
    if path is None:
        return
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(10_000):
            yield from batch.to_pylist()
    elif path.suffix == ".csv":
        # The limit is the process's, and small; a table or a text that was logged may be long.
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey=_MORE)
            for row in reader:
                if row.pop(_MORE, None) is not None:
                    what = "The line has more cells than the first one; those are left out."
                    problems.append(Problem(f"{path}:{reader.line_num}", what))
                yield {name: _cell(text) for name, text in row.items() if text}
    elif path.suffix == ".json":
        yield from msgspec.convert(json.loads(path.read_text(encoding="utf-8")), list[Json])
    else:
        # As bytes: text may hold other characters that end a line.
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line) if line.strip() else {}
                except ValueError:
                    problems.append(Problem(f"{path}:{number}", "The line is no JSON; the others are kept."))
                    continue
                if isinstance(row, dict):
                    yield row


def _cell(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
