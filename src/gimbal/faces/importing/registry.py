"""Logged models and registered models on their way: with their ids and numbers, after the runs that they name.

They are made by the calls of MLflow that Gimbal serves. Versions keep their numbers: where there is none any more, one is
made and removed. Each carries the number that it had, so that a second call knows it again.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from gimbal.faces.client.client import Client
from gimbal.faces.importing.files import fetched, refuses
from gimbal.faces.importing.records import Problem, Source, SourceFile, SourceModel, SourceRegistered, SourceVersion
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.sources.mlflow import PROMPT, versions_filter
from gimbal.faces.importing.times import at_us
from gimbal.kernel.clock import iso
from gimbal.kernel.errors import GimbalError, NotFound

NUMBER_TAG, CREATED_TAG = "gimbal.import.version", "gimbal.import.created_at"
STAGE_TAG = "gimbal.import.stage"
"""The stage that a version shall get; it is gone when it has it."""
_API = "/api/2.0/mlflow"
_STAGES = frozenset({"Staging", "Production", "Archived"})
Json = dict[str, Any]


class RegistryCarrier:
    """Models of one source into one project."""

    def __init__(self, client: Client, source: Source, report: Report, *, files: bool = True) -> None:
        self._client = client
        self._source = source
        self._report = report
        self._files = files

    def bring(self) -> None:
        """Bring logged models and their files, then registered models."""
        for model in self._read(self._source.models()):
            self._logged(model)
        for one in self._read(self._source.registered()):
            self._guarded(f"registered model {one.name}", lambda one=one: self._registered(one))

    def look(self) -> None:
        """Count what would come."""
        for model in self._read(self._source.models()):
            self._report.count(models=1, files=len(model.files))
        for one in self._read(self._source.registered()):
            self._report.count(registered=1, versions=len(one.versions), aliases=len(one.aliases))

    def compare(self) -> None:
        """Compare names, versions, aliases and files of models with what is here."""
        for model in self._read(self._source.models()):
            own_id = model.record.id
            try:
                here = self._model_files(own_id)
            except NotFound:
                self._report.differ(f"logged model {own_id}", "It is not here.")
                continue
            self._report.count(models=1)
            there = {one.path: one.size for one in model.files} if self._files else here
            if here != there:
                self._report.differ(f"logged model {own_id}", f"files: {len(there):,} there, {len(here):,} here.")
        for one in self._read(self._source.registered()):
            where = f"registered model {one.name}"
            try:
                versions, shown = self._versions(one), self._shown(one.name)
            except NotFound:
                self._report.differ(where, "It is not here.")
                continue
            self._report.count(registered=1, versions=len(one.versions), aliases=len(one.aliases))
            wanted = [each.number for each in one.versions]
            if missing := [number for number in wanted if number not in versions]:
                self._report.differ(where, f"versions that are not here: {', '.join(map(str, missing))}.")
            if extra := sorted(set(versions).difference(wanted)):
                self._report.differ(where, f"versions that are not there: {', '.join(map(str, extra))}.")
            aliases = {each["alias"]: int(each["version"]) for each in shown.get("aliases", [])}
            for alias, number in one.aliases.items():
                if aliases.get(alias) != number:
                    here_shown = aliases.get(alias, "nowhere")
                    self._report.differ(where, f"the alias {alias} stands on {number} there, here on {here_shown}.")

    def _read(self, found: Iterator[Any]) -> Iterator[Any]:
        for one in found:
            if isinstance(one, Problem):
                self._report.problem(one)
            else:
                yield one

    def _guarded(self, where: str, call: Any) -> None:
        try:
            call()
        except GimbalError as problem:
            if not refuses(problem):
                raise
            self._report.problem(Problem(where, f"It did not come: {problem.message}"))

    def _logged(self, model: SourceModel) -> None:
        record = model.record
        where = f"logged model {record.id}"
        (outcome,) = self._client.runs.import_many(models=[record])
        if outcome.outcome == "refused":
            self._report.problem(Problem(where, f"It was refused: {outcome.problem}"))
            return
        self._report.count(models=1)
        if self._files and model.files:
            here = self._model_files(record.id)
            for one in model.files:
                if here.get(one.path) != one.size or one.size < 0:
                    self._guarded(f"{where}: {one.path}", lambda one=one: self._upload(record.id, one))

    def _model_files(self, own_id: str, folder: str = "") -> dict[str, int]:
        query = {"artifact_directory_path": folder} if folder else {}
        found: dict[str, int] = {}
        listed = self._ask(f"/logged-models/{own_id}/artifacts/directories", **query)
        for one in listed.get("files", []):
            if one["is_dir"]:
                found |= self._model_files(own_id, one["path"])
            else:
                found[one["path"]] = int(one["file_size"])
        return found

    def _upload(self, own_id: str, one: SourceFile) -> None:
        try:
            with fetched(one) as content:
                path = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{own_id}/artifacts/{quote(one.path)}"
                self._client.transport.dialect("PUT", path, None, raw=content)
        except OSError as problem:
            self._report.problem(Problem(f"logged model {own_id}: {one.path}", f"The file cannot be read: {problem}."))
            return
        self._report.count(files=1, file_bytes=max(0, one.size))

    def _registered(self, one: SourceRegistered) -> None:
        try:
            shown = self._shown(one.name)
        except NotFound:
            tags = [{"key": key, "value": value} for key, value in one.tags.items()]
            self._call("POST", "/registered-models/create", name=one.name, description=one.description, tags=tags)
            shown = {}
        self._report.count(registered=1)
        here = self._versions(one)
        if foreign := [number for number, tags in here.items() if NUMBER_TAG not in tags]:
            what = f"There is one of this name with versions of its own ({foreign[0]} …); nothing of it was changed."
            self._report.problem(Problem(f"registered model {one.name}", what))
            return
        for number in [number for number, tags in here.items() if tags[NUMBER_TAG] != str(number)]:
            # Made to use up its number by an import that was killed.
            self._call("DELETE", "/model-versions/delete", name=one.name, version=str(number))
            del here[number]
        for version in one.versions:
            where = f"registered model {one.name}, version {version.number}"
            if (tags := here.get(version.number)) is None:
                self._guarded(where, lambda version=version: self._add(one, version))
            elif stage := tags.get(STAGE_TAG):
                self._guarded(where, lambda version=version, stage=stage: self._stage(one.name, version.number, stage))
        standing = {alias["alias"] for alias in shown.get("aliases", [])}
        for alias, number in one.aliases.items():
            # One that stands here has perhaps been moved since.
            if alias not in standing:
                where = f"registered model {one.name}, alias {alias}"
                self._guarded(where, lambda alias=alias, number=number: self._alias(one.name, alias, number))

    def _add(self, one: SourceRegistered, version: SourceVersion) -> None:
        """Make a version under its own number; numbers before it that are not used any more are used up."""
        tags = {**version.tags, NUMBER_TAG: str(version.number)}
        tags.pop(STAGE_TAG, None)
        if version.stage in _STAGES:
            tags[STAGE_TAG] = version.stage
        if version.created_us:
            tags[CREATED_TAG] = iso(at_us(version.created_us))
        if one.tags.get(PROMPT, "").lower() == "true":
            tags.setdefault(PROMPT, "true")
        body: Json = {
            "name": one.name,
            "source": version.source,
            "run_id": version.run_id.replace("-", ""),
            "run_link": version.run_link,
            "model_id": version.model_id,
            "description": version.description,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        while (number := int(self._call("POST", "/model-versions/create", **body)["model_version"]["version"])) != (
            version.number
        ):
            self._call("DELETE", "/model-versions/delete", name=one.name, version=str(number))
            if number > version.number:
                what = f"Version {version.number} of {one.name} was removed here, and its number is not given again."
                raise NotFound(what, where="version")
        if version.stage in _STAGES:
            self._stage(one.name, number, version.stage)
        self._report.count(versions=1)

    def _stage(self, name: str, number: int, stage: str) -> None:
        self._call("POST", "/model-versions/transition-stage", name=name, version=str(number), stage=stage)
        self._call("DELETE", "/model-versions/delete-tag", name=name, version=str(number), key=STAGE_TAG)

    def _alias(self, name: str, alias: str, number: int) -> None:
        self._call("POST", "/registered-models/alias", name=name, alias=alias, version=str(number))
        self._report.count(aliases=1)

    def _shown(self, name: str) -> Json:
        return self._ask("/registered-models/get", name=name)["registered_model"]

    def _versions(self, one: SourceRegistered) -> dict[int, dict[str, str]]:
        """Return the tags of the versions that are here by their numbers."""
        mine = versions_filter(one.name, one.tags)
        found: dict[int, dict[str, str]] = {}
        token = ""
        while True:
            page = self._ask("/model-versions/search", max_results=1000, filter=mine, page_token=token)
            for each in page.get("model_versions", []):
                found[int(each["version"])] = {tag["key"]: tag.get("value", "") for tag in each.get("tags", [])}
            token = page.get("next_page_token", "")
            if not token:
                return found

    def _ask(self, path: str, **query: Any) -> Json:
        return self._client.transport.dialect("GET", f"{_API}{path}", None, query=query)

    def _call(self, method: str, path: str, **body: Any) -> Json:
        return self._client.transport.dialect(method, f"{_API}{path}", body or None)
