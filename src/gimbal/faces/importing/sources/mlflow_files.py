"""MLflow's file store: a folder `mlruns`, one folder for each experiment and run, one file for each metric, parameter, tag.

Format: mlflow/store/tracking/file_store.py and mlflow/store/model_registry/file_store.py of MLflow 1.0 to 3.18.
"""

import itertools
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml

from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment, ImportedModel, ImportedModelMetric
from gimbal.axis.runs.model import to_wire
from gimbal.faces.importing.records import (
    Points,
    Problem,
    SourceModel,
    SourceRegistered,
    SourceRun,
    SourceVersion,
    run_uuid,
)
from gimbal.faces.importing.sources import mlflow
from gimbal.faces.importing.sources.folders import add_files, files_below
from gimbal.faces.importing.times import at_us
from gimbal.kernel.errors import BadInput, NotFound

_META, _TRASH, _REGISTRY = "meta.yaml", ".trash", "models"
_READ = 1 << 16
_THREADS, _WINDOW = 8, 64
_NOT_RUNS = frozenset({"datasets", "models", "tags", "traces", "assessments"})
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MlflowFiles:
    """A folder `mlruns`."""

    def __init__(self, folder: Path, chosen: Collection[str] = ()) -> None:
        """Look at the folder; raise NotFound where there is none, BadInput when it is no file store."""
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.", where="source", todo="Give the path of a folder mlruns.")
        self._folder = folder
        self._all = not chosen
        self._problems: list[Problem] = []
        self._found: dict[Path, ImportedExperiment] = {}
        places = [*_folders(folder), *_folders(folder / _TRASH)]
        for place in places:
            if place.name in {_TRASH, _REGISTRY} or not any(place.iterdir()):
                continue
            if not (place / _META).exists():
                self._problems.append(Problem(str(place), f"The folder has no {_META}, and is left out."))
            elif (one := self._experiment(place)) and (not chosen or one.name in chosen):
                self._found[place] = one
        if not self._found and not self._problems and not (folder / _REGISTRY).is_dir():
            raise BadInput(
                f"{folder} is no file store of MLflow: none of its folders has a {_META}.",
                where="source",
                todo="Give the folder that has one folder for each experiment, mostly named mlruns.",
            )

    def experiments(self) -> list[ImportedExperiment]:
        """Return the experiments, deleted ones among them."""
        return list(self._found.values())

    def count(self) -> int | None:
        """Return how many folders of runs there are."""
        return sum(1 for place in self._found for _ in _run_folders(place))

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs, experiment by experiment."""
        yield from self._problems
        # The disk is waited for, not the processor.
        with ThreadPoolExecutor(_THREADS, "mlruns") as pool:
            for place, experiment in self._found.items():
                folders = _run_folders(place)
                while window := list(itertools.islice(folders, _WINDOW)):
                    yield from pool.map(self._run, window, repeat(place), repeat(experiment.name))

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield logged models."""
        for place, experiment in self._found.items():
            for folder in _folders(place / "models"):
                meta = _meta(folder)
                yield meta if isinstance(meta, Problem) else self._model(folder, place, meta, experiment.name)

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield registered models with their versions; none where only some experiments are chosen."""
        if not self._all:
            return
        for folder in _folders(self._folder / _REGISTRY):
            meta = _meta(folder)
            if isinstance(meta, Problem):
                yield meta
                continue
            aliases = _texts(folder / "aliases", [])
            one = SourceRegistered(
                name=str(meta.get("name", folder.name)),
                description=str(meta.get("description") or ""),
                tags=_texts(folder / "tags", []),
                aliases={name: int(text) for name, text in aliases.items() if text.strip().isdecimal()},
            )
            for place in _folders(folder):
                if place.name.startswith("version-"):
                    version = _meta(place)
                    if isinstance(version, Problem):
                        yield version
                    elif version.get("current_stage") != mlflow.DELETED_VERSION:
                        one.versions.append(_version(place, version))
            one.versions.sort(key=lambda each: each.number)
            yield one

    def _experiment(self, place: Path) -> ImportedExperiment | None:
        meta = _meta(place)
        if isinstance(meta, Problem):
            self._problems.append(meta)
            return None
        deleted = place.parent.name == _TRASH or meta.get("lifecycle_stage") == "deleted"
        created, updated = meta.get("creation_time"), meta.get("last_update_time")
        return ImportedExperiment(
            name=mlflow.experiment_name(str(meta.get("name", place.name)), str(meta.get("experiment_id", place.name))),
            stage="deleted" if deleted else "active",
            created_at=at_us(int(created) * 1000) if created else None,
            updated_at=at_us(int(updated) * 1000) if updated else None,
            tags=_texts(place / "tags", self._problems),
        )

    def _run(self, folder: Path, place: Path, experiment: str) -> SourceRun | Problem:
        meta = _meta(folder)
        if isinstance(meta, Problem):
            return meta
        own_id = meta.get("run_id") or meta.get("run_uuid")
        if not own_id or "status" not in meta:
            return Problem(str(folder / _META), "It is not whole: run_id or status is missing; the run is left out.")
        problems: list[Problem] = []
        params, tags = _texts(folder / "params", problems), _texts(folder / "tags", problems)
        one = mlflow.made_run({**meta, "run_id": own_id}, experiment, params, tags, str(folder))
        one.problems = problems
        for name, path in _leaves(folder / "metrics", problems):
            _metric(one.points, name, path, problems)
        one.datasets = self._datasets(folder, place, problems)
        root = folder / "artifacts"
        if not root.is_dir():
            # Elsewhere than beside the run: an experiment may say where its artifacts go.
            told = mlflow.local_folder(str(meta.get("artifact_uri") or ""), self._folder)
            root = told if told is not None and told.is_dir() else root
            if told is None and meta.get("artifact_uri"):
                what = "are not on this machine, and are left out; import from MLflow's server to have them."
                problems.append(Problem(str(meta["artifact_uri"]), f"The artifacts of the run {own_id} {what}"))
        add_files(files_below(root), one.files, problems)
        return one

    def _datasets(self, folder: Path, place: Path, problems: list[Problem]) -> list[ImportedDataset]:
        found: list[ImportedDataset] = []
        for each in _folders(folder / "inputs"):
            used = _meta(each)
            if isinstance(used, Problem) or used.get("source_type") != "DATASET":
                problems += [used] if isinstance(used, Problem) else []
                continue
            meta = _meta(place / "datasets" / str(used.get("source_id", "")))
            if isinstance(meta, Problem):
                problems.append(meta)
                continue
            texts = {name: str(meta.get(name) or "") for name in ("source_type", "source", "schema", "profile")}
            tags = {str(name): str(value) for name, value in (used.get("tags") or {}).items()}
            found.append(ImportedDataset(name=str(meta["name"]), digest=str(meta["digest"]), tags=tags, **texts))
        return found

    def _model(self, folder: Path, place: Path, meta: dict[str, Any], experiment: str) -> SourceModel | Problem:
        problems: list[Problem] = []
        own_id = str(meta.get("model_id", folder.name))
        made_by = {
            run_uuid(mlflow.KIND, run.name): int(link.get("step") or 0)
            for run in _run_folders(place)
            if (run / "outputs" / own_id).is_dir() and isinstance(link := _meta(run / "outputs" / own_id), dict)
        }
        source_run = meta.get("source_run_id")
        one = SourceModel(
            record=ImportedModel(
                id=own_id,
                name=str(meta.get("name") or own_id),
                experiment=experiment,
                status=mlflow.model_state(meta.get("status")),
                model_type=str(meta.get("model_type") or ""),
                source_run_id=run_uuid(mlflow.KIND, str(source_run)) if source_run else None,
                created_at=at_us(int(meta.get("creation_timestamp") or 0) * 1000),
                updated_at=at_us(int(meta.get("last_updated_timestamp") or 0) * 1000),
                params=_texts(folder / "params", problems),
                tags=_texts(folder / "tags", problems),
                metrics=_model_metrics(folder, problems),
                made_by=made_by,
            )
        )
        add_files(files_below(folder / "artifacts"), one.files, problems)
        return one


def _folders(place: Path) -> list[Path]:
    """Return the folders in a folder by name; links are not followed."""
    if not place.is_dir():
        return []
    with os.scandir(place) as entries:
        return [
            Path(one.path) for one in sorted(entries, key=lambda one: one.name) if one.is_dir(follow_symlinks=False)
        ]


def _run_folders(place: Path) -> Iterator[Path]:
    return (folder for folder in _folders(place) if folder.name not in _NOT_RUNS)


def _meta(folder: Path) -> dict[str, Any] | Problem:
    path = folder / _META
    try:
        found = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - the safe loader, in C
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        why = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        return Problem(str(path), f"It cannot be read ({why}); what it describes is left out.")
    if not isinstance(found, dict):
        return Problem(str(path), "It is empty or half written; what it describes is left out.")
    return found


def _leaves(folder: Path, problems: list[Problem], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield names, with slashes for folders, and paths of the files below a folder."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_symlink():
            problems.append(Problem(entry.path, "A symbolic link is left out."))
        elif entry.is_dir():
            yield from _leaves(Path(entry.path), problems, f"{name}/")
        else:
            yield name, entry.path


def _read(path: str, problems: list[Problem]) -> str | None:
    # Hundreds of thousands of small files: what a file object asks the system besides would double the time.
    parts: list[bytes] = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while True:
                part = os.read(file, _READ)
                parts.append(part)
                if len(part) < _READ:
                    break
        finally:
            os.close(file)
        return b"".join(parts).decode()
    except (OSError, UnicodeDecodeError) as problem:
        problems.append(Problem(path, f"It cannot be read ({problem}), and is left out."))
        return None


def _texts(folder: Path, problems: list[Problem]) -> dict[str, str]:
    found = {name: _read(path, problems) for name, path in _leaves(folder, problems)}
    return {name: text for name, text in found.items() if text is not None}


def _metric(points: Points, name: str, path: str, problems: list[Problem]) -> None:
    """Add the points of one file; a line is milliseconds, value and step, and what cannot be read is told by its number."""
    text = _read(path, problems)
    if not text:
        return
    words = text.split()
    try:
        if len(words) == 3 * (text.count("\n") + (not text.endswith("\n"))):
            times = [int(word) * 1000 for word in words[0::3]]
            points.extend(name, list(map(int, words[2::3])), times, list(map(float, words[1::3])))
            return
    except ValueError:
        pass
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.split()
        try:
            # Before 1.0 there were no steps; behind the step newer versions may name a dataset.
            point = (int(parts[2]) if len(parts) > 2 else 0, int(parts[0]) * 1000, float(parts[1]))
        except (ValueError, IndexError):
            if line.strip():
                problems.append(
                    Problem(f"{path}:{number}", f"The line {line[:60]!r} is no point; the others are kept.")
                )
            continue
        points.add(name, *point)


def _model_metrics(folder: Path, problems: list[Problem]) -> list[ImportedModelMetric]:
    """Return of each metric of a model, and dataset, the newest point: milliseconds, value, step, run, dataset, digest."""
    newest: dict[tuple[str, str, str], tuple[int, int, float, str]] = {}
    for name, path in _leaves(folder / "metrics", problems):
        for number, line in enumerate((_read(path, problems) or "").splitlines(), start=1):
            parts = line.split(" ")
            try:
                point = (int(parts[2]), int(parts[0]), float(parts[1]), parts[3])
            except (ValueError, IndexError):
                problems.append(
                    Problem(f"{path}:{number}", f"The line {line[:60]!r} is no point; the others are kept.")
                )
                continue
            dataset, digest = (parts[4], parts[5]) if len(parts) > 5 else ("", "")
            key = (name, dataset, digest)
            newest[key] = max(newest.get(key, point), point, key=lambda one: one[:2])
    return [
        ImportedModelMetric(
            name=name,
            value=to_wire(value),
            step=step,
            at=at_us(ms * 1000),
            run_id=run_uuid(mlflow.KIND, run_id),
            dataset_name=dataset,
            dataset_digest=digest,
        )
        for (name, dataset, digest), (step, ms, value, run_id) in newest.items()
    ]


def _version(folder: Path, meta: dict[str, Any]) -> SourceVersion:
    run_id = str(meta.get("run_id") or "")
    source, model_id = mlflow.source_here(
        str(meta.get("source") or ""), str(meta.get("storage_location") or ""), run_id, str(meta.get("model_id") or "")
    )
    return SourceVersion(
        number=int(meta.get("version") or folder.name.removeprefix("version-")),
        source=source,
        run_id=run_uuid(mlflow.KIND, run_id) if run_id else "",
        model_id=model_id,
        run_link=str(meta.get("run_link") or ""),
        description=str(meta.get("description") or ""),
        stage=str(meta.get("current_stage") or "None"),
        created_us=int(meta.get("creation_timestamp") or 0) * 1000,
        tags=_texts(folder / "tags", []),
    )
