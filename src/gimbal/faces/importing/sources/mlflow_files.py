"""MLflow's file store: a folder `mlruns`, one folder for each experiment and run, one file for each metric, parameter, tag.

Format: mlflow/store/tracking/file_store.py and mlflow/store/model_registry/file_store.py of MLflow 1.0 to 3.18.
"""

import os
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment, ImportedModel
from gimbal.faces.importing.reading import reading
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
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.sources.folders import folders_in, link_left_out
from gimbal.faces.importing.times import at_us
from gimbal.kernel.errors import BadInput, NotFound

_META, _TRASH, _REGISTRY = "meta.yaml", ".trash", "models"
_READ = 1 << 16
_THREADS, _AHEAD = 8, 16
_NOT_RUNS = frozenset({"datasets", "models", "tags", "traces", "assessments"})
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _OfModel(NamedTuple):
    """Which runs a logged model has to do with."""

    made_by: dict[str, int]
    read_by: list[str]


class MlflowFiles:
    """A folder `mlruns`."""

    def __init__(self, folder: Path, chosen: Collection[str] = (), *, artifacts: bool = True) -> None:
        """Look at the folder; raise NotFound where there is none, BadInput when it is no file store."""
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.", where="source", todo="Give the path of a folder mlruns.")
        self._folder = folder
        self._chosen = Chosen(chosen)
        self._artifacts = mlflow.Artifacts(folder, wanted=artifacts)
        self._problems: list[Problem] = []
        self._found: dict[Path, ImportedExperiment] = {}
        for place in [*folders_in(folder, self._problems), *folders_in(folder / _TRASH, self._problems)]:
            if place.name not in {_TRASH, _REGISTRY}:
                problem = reading(str(place / _META), lambda place=place: self._look(place))
                self._problems += [problem] if problem is not None else []
        if not self._found and not self._problems and not (folder / _REGISTRY).is_dir() and self._chosen.all:
            raise BadInput(
                f"{folder} is no file store of MLflow: none of its folders has a {_META}.",
                where="source",
                todo="Give the folder that has one folder for each experiment, mostly named mlruns.",
            )
        self._chosen.check()

    def experiments(self) -> list[ImportedExperiment]:
        """Return the experiments, deleted ones among them."""
        return list(self._found.values())

    def count(self) -> int | None:
        """Return how many folders of runs there are."""
        return sum(len(_run_folders(place)) for place in self._found)

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs, experiment by experiment."""
        yield from self._problems
        # The disk is waited for, not the processor.
        with ThreadPoolExecutor(_THREADS, "mlruns") as pool:
            ahead: deque[Future[SourceRun | Problem]] = deque()
            for place, experiment in self._found.items():
                problems: list[Problem] = []
                for folder in _run_folders(place, problems):
                    ahead.append(pool.submit(self._run, folder, place, experiment.name))
                    if len(ahead) == _AHEAD:
                        yield ahead.popleft().result()
                yield from problems
            while ahead:
                yield ahead.popleft().result()

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield logged models."""
        for place, experiment in self._found.items():
            problems: list[Problem] = []
            folders = folders_in(place / "models", problems)
            links = _links(place) if folders else {}
            for folder in folders:
                of_model = links.get(folder.name, _OfModel({}, []))
                one = reading(str(folder), lambda: self._model(folder, experiment.name, of_model, problems))  # noqa: B023 - called at once
                if one is not None:
                    yield one
            yield from problems

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield registered models with their versions; none where only some experiments are chosen."""
        if not self._chosen.all:
            return
        problems: list[Problem] = []
        for folder in folders_in(self._folder / _REGISTRY, problems):
            yield reading(str(folder), lambda folder=folder: _registered(folder, problems))
        yield from problems

    def _look(self, place: Path) -> Problem | None:
        """Note the experiment of a folder when it is chosen; return why it cannot be read."""
        if not any(place.iterdir()):
            return None
        if not (place / _META).exists():
            return Problem(str(place), f"The folder has no {_META}, and is left out.")
        meta = _meta(place)
        if isinstance(meta, Problem):
            return meta
        one = self._experiment(place, meta)
        if self._chosen.takes(one.name, str(meta.get("name", place.name))):
            self._found[place] = one
        return None

    def _experiment(self, place: Path, meta: dict[str, Any]) -> ImportedExperiment:
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
        return reading(str(folder), lambda: self._whole(folder, place, experiment))

    def _whole(self, folder: Path, place: Path, experiment: str) -> SourceRun | Problem:
        meta = _meta(folder)
        if isinstance(meta, Problem):
            return meta
        own_id = meta.get("run_id") or meta.get("run_uuid")
        if not own_id or "status" not in meta:
            return Problem(str(folder / _META), "It is not whole: run_id or status is missing; the run is left out.")
        problems: list[Problem] = []
        params, tags = _texts(folder / "params", problems), _texts(folder / "tags", problems)
        one = mlflow.made_run({**meta, "run_id": own_id}, experiment, params, tags, str(folder))
        for name, path in _leaves(folder / "metrics", problems):
            _metric(one.points, name, path, problems)
        one.datasets = self._datasets(folder, place, problems)
        one.files, more = self._artifacts.of(str(meta.get("artifact_uri") or ""), str(own_id), folder / "artifacts")
        one.problems = [*problems, *more]
        return one

    def _datasets(self, folder: Path, place: Path, problems: list[Problem]) -> list[ImportedDataset]:
        found: list[ImportedDataset] = []
        for each in folders_in(folder / "inputs", problems):
            used = _meta(each)
            if isinstance(used, Problem) or used.get("source_type") != "DATASET":
                problems += [used] if isinstance(used, Problem) else []
                continue
            described = place / "datasets" / str(used.get("source_id", ""))
            one = reading(str(described), lambda used=used, described=described: _dataset(used, _meta(described)))
            (problems if isinstance(one, Problem) else found).append(one)  # type: ignore[arg-type] - by kind
        return found

    def _model(
        self, folder: Path, experiment: str, links: _OfModel, problems: list[Problem]
    ) -> SourceModel | Problem | None:
        """Return a logged model; None for one that was deleted."""
        meta = _meta(folder)
        if isinstance(meta, Problem) or meta.get("lifecycle_stage") == "deleted":
            return meta if isinstance(meta, Problem) else None
        own_id = str(meta.get("model_id", folder.name))
        source_run = meta.get("source_run_id")
        record = ImportedModel(
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
            metrics=mlflow.newest(_model_points(folder, problems)),
            made_by=links.made_by,
            read_by=links.read_by,
        )
        files, more = self._artifacts.of(str(meta.get("artifact_location") or ""), own_id, folder / "artifacts")
        problems += more
        return SourceModel(record=record, files=files)


def _links(place: Path) -> dict[str, _OfModel]:
    """Return by the ids of models which runs of an experiment made and read them."""
    found: dict[str, _OfModel] = {}
    for run in _run_folders(place):
        own_id = run_uuid(mlflow.KIND, run.name)
        for one in folders_in(run / "outputs"):
            if isinstance(link := _meta(one), dict):
                found.setdefault(one.name, _OfModel({}, [])).made_by[own_id] = int(link.get("step") or 0)
        for one in folders_in(run / "inputs"):
            if isinstance(link := _meta(one), dict) and link.get("source_type") == "MODEL":
                found.setdefault(str(link.get("source_id")), _OfModel({}, [])).read_by.append(own_id)
    return found


def _dataset(used: dict[str, Any], meta: dict[str, Any] | Problem) -> ImportedDataset | Problem:
    if isinstance(meta, Problem):
        return meta
    texts = {name: str(meta.get(name) or "") for name in ("source_type", "source", "schema", "profile")}
    tags = {str(name): str(value) for name, value in (used.get("tags") or {}).items()}
    return ImportedDataset(name=str(meta["name"]), digest=str(meta["digest"]), tags=tags, **texts)


def _run_folders(place: Path, problems: list[Problem] | None = None) -> list[Path]:
    return [folder for folder in folders_in(place, problems) if folder.name not in _NOT_RUNS]


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
    except OSError as problem:
        problems.append(Problem(str(folder), f"It cannot be read ({problem.strerror}), and is left out."))
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_symlink():
            problems.append(link_left_out(entry.path))
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
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        parts = line.split()
        # Before 1.0 there were no steps; behind the step newer versions may name a dataset. A line may break off.
        step = parts[2] if len(parts) > 2 else "0" if line.endswith("\n") else ""
        try:
            point = (int(step), int(parts[0]) * 1000, float(parts[1]))
        except (ValueError, IndexError):
            if parts:
                problems.append(_no_point(path, number, line))
            continue
        points.add(name, *point)


def _no_point(path: str, number: int, line: str) -> Problem:
    return Problem(f"{path}:{number}", f"The line {line.rstrip()[:60]!r} is no point; the others are kept.")


def _model_points(folder: Path, problems: list[Problem]) -> Iterator[mlflow.ModelPoint]:
    """Yield the points of a model; a line is milliseconds, value, step, run, and may be dataset and digest."""
    for name, path in _leaves(folder / "metrics", problems):
        for number, line in enumerate((_read(path, problems) or "").splitlines(), start=1):
            parts = line.split(" ")
            dataset, digest = (parts[4], parts[5]) if len(parts) > 5 else ("", "")
            try:
                point = int(parts[2]), int(parts[0]), float(parts[1]), parts[3]
            except (ValueError, IndexError):
                problems.append(_no_point(path, number, line))
                continue
            yield mlflow.ModelPoint(name, dataset, digest, *point)


def _registered(folder: Path, problems: list[Problem]) -> SourceRegistered | Problem:
    meta = _meta(folder)
    if isinstance(meta, Problem):
        return meta
    aliases = _texts(folder / "aliases", problems)
    one = SourceRegistered(
        name=str(meta.get("name", folder.name)),
        description=str(meta.get("description") or ""),
        tags=_texts(folder / "tags", problems),
        aliases={name: int(text) for name, text in aliases.items() if text.strip().isdecimal()},
    )
    for place in folders_in(folder, problems):
        if place.name.startswith("version-"):
            version = reading(str(place), lambda place=place: _version(place, _meta(place), problems))
            if isinstance(version, Problem):
                problems.append(version)
            elif version.stage != mlflow.DELETED_VERSION:
                one.versions.append(version)
    one.versions.sort(key=lambda each: each.number)
    return one


def _version(folder: Path, meta: dict[str, Any] | Problem, problems: list[Problem]) -> SourceVersion | Problem:
    if isinstance(meta, Problem):
        return meta
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
        tags=_texts(folder / "tags", problems),
    )
