"""MLflow's server, read by its REST calls: many at once, page tokens handed back as they came.

Protocol: mlflow/protos/service.proto and model_registry.proto, and mlflow/server/handlers.py for what has no proto. Histories
of a metric are asked of a hundred runs at a time where the server can (`get-history-bulk`), else one by one.
"""

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment, ImportedModel
from gimbal.faces.importing.reading import reading
from gimbal.faces.importing.records import (
    Problem,
    SourceFile,
    SourceModel,
    SourceRegistered,
    SourceRun,
    SourceVersion,
    run_uuid,
)
from gimbal.faces.importing.sources import mlflow
from gimbal.faces.importing.sources.chosen import Chosen
from gimbal.faces.importing.sources.folders import add_files
from gimbal.faces.importing.sources.mlflow_http import MlflowHttp
from gimbal.faces.importing.times import at_us
from gimbal.kernel.errors import NotFound, Upstream

T = TypeVar("T")
R = TypeVar("R")
_PAGE, _PART = 500, 100
_BULK, _BULK_POINTS, _HISTORY = 100, 25_000, 25_000
_EXPERIMENTS = 20
_THREADS = 8
_ARTIFACTS = "mlflow-artifacts:"
Json = dict[str, Any]
_Point = tuple[int, int, float]
_Listed = Callable[[str], Iterator[Json]]
_Content = Callable[[str], Callable[[Path], None]]


class MlflowRest:
    """A server of MLflow."""

    def __init__(self, url: str, chosen: Collection[str] = (), *, artifacts: bool = True) -> None:
        """Ask for the experiments; raise Unavailable when nobody answers, BadInput when somebody else does."""
        self._http = MlflowHttp(url)
        self._chosen = Chosen(chosen)
        self._artifacts = artifacts
        self._bulk = True
        self._made: dict[str, dict[str, int]] = {}
        self._read: dict[str, list[str]] = {}
        found = self._pages("POST", "experiments/search", "experiments", {"max_results": 1000, "view_type": "ALL"})
        self._experiments = {one["experiment_id"]: one for one in found if self._chosen.takes(_name(one), one["name"])}
        self._chosen.check()

    def experiments(self) -> list[ImportedExperiment]:
        """Return the experiments, deleted ones among them."""
        return [
            ImportedExperiment(
                name=_name(one),
                stage="deleted" if one.get("lifecycle_stage") == "deleted" else "active",
                created_at=at_us(int(one["creation_time"]) * 1000) if one.get("creation_time") else None,
                updated_at=at_us(int(one["last_update_time"]) * 1000) if one.get("last_update_time") else None,
                tags=_pairs(one.get("tags")),
            )
            for one in self._experiments.values()
        ]

    def count(self) -> int | None:
        """Return None: it cannot be asked."""
        return None

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs, page by page; histories and files are asked of some runs at once."""
        ids = list(self._experiments)
        for start in range(0, len(ids), _EXPERIMENTS):
            asked = {"experiment_ids": ids[start : start + _EXPERIMENTS], "run_view_type": "ALL", "max_results": _PAGE}
            pages = self._pages("POST", "runs/search", "runs", asked)
            while part := list(itertools.islice(pages, _PART)):
                yield from self._whole(part)

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield logged models; nothing where the server is older than they."""
        ids = list(self._experiments)
        for start in range(0, len(ids), _EXPERIMENTS):
            asked = {"experiment_ids": ids[start : start + _EXPERIMENTS], "max_results": 50}
            try:
                found = list(self._pages("POST", "logged-models/search", "models", asked))
            except NotFound:
                # Older than logged models.
                return
            for files, one in zip(self._at_once(self._model_files, found), found, strict=True):
                record = reading(f"logged model {one['info'].get('model_id')}", lambda one=one: self._model(one))
                if isinstance(record, Problem):
                    yield record
                    continue
                kept: list[SourceFile] = []
                problems: list[Problem] = []
                add_files(iter(files), kept, problems)
                yield from problems
                yield SourceModel(record=record, files=kept)

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield registered models and prompts with their versions; none where only some experiments are chosen."""
        if not self._chosen.all:
            return
        models = self._pages("GET", "registered-models/search", "registered_models", {"max_results": 100})
        prompts = self._pages(
            "GET", "registered-models/search", "registered_models", {"max_results": 100, "filter": mlflow.PROMPTS}
        )
        seen: set[str] = set()
        for one in itertools.chain(models, prompts):
            if one["name"] not in seen:
                seen.add(one["name"])
                yield reading(f"registered model {one['name']}", lambda one=one: self._registered(one))

    def _registered(self, one: Json) -> SourceRegistered:
        name, tags = one["name"], _pairs(one.get("tags"))
        asked = {"max_results": 1000, "filter": mlflow.versions_filter(name, tags)}
        found = self._pages("GET", "model-versions/search", "model_versions", asked)
        return SourceRegistered(
            name=name,
            description=one.get("description", ""),
            tags=tags,
            aliases={alias["alias"]: int(alias["version"]) for alias in one.get("aliases", [])},
            versions=sorted(map(_version, found), key=lambda each: each.number),
        )

    def _whole(self, page: Sequence[Json]) -> Iterator[SourceRun | Problem]:
        found: dict[str, SourceRun] = {}
        keys: dict[str, list[str]] = {}
        for one in page:
            own_id = str(one["info"].get("run_id") or one["info"].get("run_uuid"))
            run = reading(f"run {own_id}", lambda one=one, own_id=own_id: self._run(one, own_id))
            if isinstance(run, Problem):
                yield run
                continue
            found[own_id] = run
            for metric in one.get("data", {}).get("metrics", []):
                keys.setdefault(metric["key"], []).append(own_id)
        self._histories(found, keys)
        for own_id, files in zip(found, self._at_once(self._files, list(found)), strict=True):
            add_files(iter(files), found[own_id].files, found[own_id].problems)
        yield from found.values()

    def _run(self, one: Json, own_id: str) -> SourceRun:
        info, data = one["info"], one.get("data", {})
        experiment = _name(self._experiments[info["experiment_id"]])
        params, tags = _pairs(data.get("params")), _pairs(data.get("tags"))
        run = mlflow.made_run({**info, "run_id": own_id}, experiment, params, tags, f"run {own_id}")
        run.datasets = [_dataset(each) for each in one.get("inputs", {}).get("dataset_inputs", [])]
        for each in one.get("inputs", {}).get("model_inputs", []):
            self._read.setdefault(each["model_id"], []).append(run.id)
        for each in one.get("outputs", {}).get("model_outputs", []):
            self._made.setdefault(each["model_id"], {})[run.id] = int(each.get("step") or 0)
        return run

    def _histories(self, found: Mapping[str, SourceRun], keys: Mapping[str, Sequence[str]]) -> None:
        asked = [(key, ids[start : start + _BULK]) for key, ids in keys.items() for start in range(0, len(ids), _BULK)]
        for (key, _), histories in zip(asked, self._at_once(self._history, asked), strict=True):
            for own_id, points in histories:
                run = found[own_id]
                if isinstance(points, Problem):
                    run.problems.append(points)
                    continue
                for step, ms, value in points:
                    run.points.add(key, step, ms * 1000, value)

    def _history(self, asked: tuple[str, Sequence[str]]) -> list[tuple[str, list[_Point] | Problem]]:
        """Return the points of one metric of some runs."""
        key, ids = asked
        if self._bulk and len(ids) > 1:
            query = {"run_id": list(ids), "metric_key": key, "max_results": _BULK_POINTS}
            try:
                rows = self._http.ask("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", query).get("metrics", [])
                if len(rows) < _BULK_POINTS:
                    return [(row["run_id"], [_point(row)]) for row in rows if row["run_id"] in ids]
            except NotFound:
                self._bulk = False
            except (Upstream, ValueError, TypeError, KeyError):
                # Of one run, perhaps: one by one it is seen of which.
                pass
        return [
            (own_id, reading(f"run {own_id}: metric {key}", lambda own_id=own_id: self._history_of(own_id, key)))
            for own_id in ids
        ]

    def _history_of(self, own_id: str, key: str) -> list[_Point]:
        query = {"run_id": own_id, "metric_key": key, "max_results": _HISTORY}
        return [_point(row) for row in self._pages("GET", "metrics/get-history", "metrics", query)]

    def _files(self, own_id: str) -> list[SourceFile | Problem]:
        def content(path: str) -> Callable[[Path], None]:
            return functools.partial(self._http.fetch, "/get-artifact", {"run_id": own_id, "path": path})

        def listed(folder: str) -> Iterator[Json]:
            query = {"run_id": own_id} | ({"path": folder} if folder else {})
            return self._pages("GET", "artifacts/list", "files", query)

        return self._all_below(listed, content, f"run {own_id}")

    def _all_below(self, listed: _Listed, content: _Content, where: str) -> list[SourceFile | Problem]:
        """Return the files of a run or model, or that they cannot be listed."""
        if not self._artifacts:
            return []
        found = reading(f"{where}: artifacts", lambda: list(self._below(listed, content, where)))
        return [found] if isinstance(found, Problem) else found

    def _below(
        self,
        listed: _Listed,
        content: _Content,
        where: str,
        folder: str = "",
    ) -> Iterator[SourceFile | Problem]:
        for one in listed(folder):
            path = str(one.get("path", ""))
            if folder and not path.startswith(f"{folder}/"):
                yield Problem(
                    f"{where}: {path}", f"The server shows it in {folder!r}, where it cannot be; it is left out."
                )
            elif one.get("is_dir"):
                yield from self._below(listed, content, where, path)
            else:
                yield SourceFile(path, content(path), int(one.get("file_size", -1)))

    def _model(self, one: Json) -> ImportedModel:
        info, data = one["info"], one.get("data", {})
        own_id, source_run = str(info["model_id"]), info.get("source_run_id")
        return ImportedModel(
            id=own_id,
            name=info.get("name") or own_id,
            experiment=_name(self._experiments[info["experiment_id"]]),
            status=mlflow.model_state(info.get("status")),
            model_type=info.get("model_type") or "",
            source_run_id=run_uuid(mlflow.KIND, source_run) if source_run else None,
            created_at=at_us(int(info.get("creation_timestamp_ms") or 0) * 1000),
            updated_at=at_us(int(info.get("last_updated_timestamp_ms") or 0) * 1000),
            params=_pairs(data.get("params")),
            tags=_pairs(info.get("tags")),
            metrics=mlflow.newest(map(_model_point, data.get("metrics", []))),
            # Runs tell what they made and read; they have been read before.
            made_by=self._made.get(own_id, {}),
            read_by=self._read.get(own_id, []),
        )

    def _model_files(self, one: Json) -> list[SourceFile | Problem]:
        own_id, root = str(one["info"].get("model_id")), str(one["info"].get("artifact_uri", ""))

        def content(path: str) -> Callable[[Path], None]:
            if root.startswith(_ARTIFACTS):
                below = root.removeprefix(_ARTIFACTS).strip("/")
                return functools.partial(self._http.fetch, f"/api/2.0/mlflow-artifacts/artifacts/{below}/{path}", {})
            place = f"/ajax-api/2.0/mlflow/logged-models/{own_id}/artifacts/files"
            return functools.partial(self._http.fetch, place, {"artifact_file_path": path})

        def listed(folder: str) -> Iterator[Json]:
            query = {"artifact_directory_path": folder} if folder else {}
            return self._pages("GET", f"logged-models/{own_id}/artifacts/directories", "files", query)

        return self._all_below(listed, content, f"logged model {own_id}")

    def _pages(self, method: str, call: str, field: str, asked: Mapping[str, Any]) -> Iterator[Json]:
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            page = self._http.ask(method, f"/api/2.0/mlflow/{call}", {**asked, **more})
            yield from page.get(field, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    @staticmethod
    def _at_once(call: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        with ThreadPoolExecutor(_THREADS, "mlflow") as pool:
            yield from pool.map(call, items)


def _name(one: Json) -> str:
    return mlflow.experiment_name(one["name"], str(one["experiment_id"]))


def _pairs(rows: Sequence[Json] | None) -> dict[str, str]:
    return {str(one["key"]): str(one.get("value", "")) for one in rows or ()}


def _point(row: Json) -> _Point:
    return int(row.get("step") or 0), int(row["timestamp"]), float(row["value"])


def _dataset(one: Json) -> ImportedDataset:
    told = one.get("dataset", {})
    texts = {name: str(told.get(name) or "") for name in ("source_type", "source", "schema", "profile")}
    return ImportedDataset(name=told["name"], digest=told["digest"], tags=_pairs(one.get("tags")), **texts)


def _model_point(row: Json) -> mlflow.ModelPoint:
    return mlflow.ModelPoint(
        row["key"],
        row.get("dataset_name", ""),
        row.get("dataset_digest", ""),
        int(row.get("step") or 0),
        int(row["timestamp"]),
        float(row["value"]),
        row.get("run_id", ""),
    )


def _version(one: Json) -> SourceVersion:
    run_id = one.get("run_id", "")
    source, model_id = mlflow.source_here(one.get("source", ""), "", run_id, one.get("model_id", ""))
    return SourceVersion(
        number=int(one["version"]),
        source=source,
        run_id=run_uuid(mlflow.KIND, run_id) if run_id else "",
        model_id=model_id,
        run_link=one.get("run_link", ""),
        description=one.get("description", ""),
        stage=one.get("current_stage", "None"),
        created_us=int(one.get("creation_timestamp") or 0) * 1000,
        tags=_pairs(one.get("tags")),
    )
