"""What MLflow's runs mean here, however they are read: ids, states, times, tags that are more than tags."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gimbal.axis.runs.experiments.model import DEFAULT
from gimbal.axis.runs.imports.model import ImportedModelMetric
from gimbal.axis.runs.model import RunStatus, to_wire
from gimbal.faces.importing.records import Problem, SourceFile, SourceRun, run_uuid
from gimbal.faces.importing.sources.folders import add_files, files_below
from gimbal.faces.importing.times import at_us

KIND = "mlflow"
PARENT, NAME, NOTE, USER = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content", "mlflow.user"
PROMPT = "mlflow.prompt.is_prompt"
PROMPTS = f"tags.`{PROMPT}` = 'true'"
_STATES: dict[str, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
_NUMBERED = dict(enumerate(_STATES.values(), start=1))
MODEL_STATES = {"1": "pending", "2": "ready", "3": "failed", "LOGGED_MODEL_PENDING": "pending"} | {
    "LOGGED_MODEL_READY": "ready", "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}  # fmt: skip
_OWN_ROOTS = frozenset({"mlruns", "mlartifacts"})
DELETED_VERSION = "Deleted_Internal"
_OF_MODEL = re.compile(r"/models/(?P<model>m-[0-9a-f]{32})/artifacts(?:/.*)?$")


def experiment_name(name: str, own_id: str) -> str:
    """Return the name of an experiment here: MLflow's own `Default` is the project's `default`."""
    return DEFAULT if own_id == "0" and name == "Default" else name


def versions_filter(name: str, tags: Mapping[str, str]) -> str:
    """Return the filter of a search for the versions of one registered model, or prompt by its tags."""
    mine = f"name = '{name}'" if "'" not in name else f'name = "{name}"'
    return f"{mine} AND {PROMPTS}" if tags.get(PROMPT, "").lower() == "true" else mine


class ModelPoint(NamedTuple):
    """A point of a metric of a logged model."""

    name: str
    dataset: str
    digest: str
    step: int
    ms: int
    value: float
    run_id: str


def newest(points: Iterable[ModelPoint]) -> list[ImportedModelMetric]:
    """Return of each metric, and dataset, the newest point."""
    found: dict[tuple[str, str, str], ModelPoint] = {}
    for one in points:
        known = found.setdefault(one[:3], one)
        if (one.step, one.ms) > (known.step, known.ms):
            found[one[:3]] = one
    return [
        ImportedModelMetric(
            name=one.name,
            value=to_wire(one.value),
            step=one.step,
            at=at_us(one.ms * 1000),
            run_id=run_uuid(KIND, one.run_id),
            dataset_name=one.dataset,
            dataset_digest=one.digest,
        )
        for one in found.values()
    ]


class Artifacts:
    """Files of runs and models where their addresses say. A place that is not on this machine is told once."""

    def __init__(self, base: Path | None, *, wanted: bool) -> None:
        """Paths that are relative start from `base`; where files are not `wanted`, none is looked for."""
        self._base = base
        self._wanted = wanted
        self._told: dict[str, str] = {}

    def of(self, uri: str, own_id: str, beside: Path | None = None) -> tuple[list[SourceFile], list[Problem]]:
        """Return the files of a run or model by its artifact URI, or those beside it, when there are any."""
        files: list[SourceFile] = []
        problems: list[Problem] = []
        folder = beside if beside is not None and _has_any(beside) else local_folder(uri, self._base)
        if not self._wanted or not (uri or folder):
            return files, problems
        place = uri.rstrip("/").removesuffix(f"/{own_id}/artifacts").removesuffix("/models")
        if folder is None or not (folder.exists() or folder.is_symlink() or self._is_there(place, beside)):
            if self._told.setdefault(place, own_id) == own_id:
                what = "Artifacts in this place are not on this machine, and are left out"
                todo = "Import from MLflow's server to have them, or give --no-artifacts."
                problems.append(Problem(place, f"{what} (those of {own_id}, and perhaps more). {todo}"))
            return files, problems
        add_files(files_below(folder), files, problems)
        return files, problems

    def _is_there(self, place: str, beside: Path | None) -> bool:
        """Tell whether the place of an experiment is here. MLflow makes its own folders with the first file only."""
        location = local_folder(place, self._base) or Path(place)
        root = location.parent if location.name.isdecimal() else location
        own = {*_OWN_ROOTS, "" if self._base is None else self._base.name}
        if beside is not None and location.name == beside.parents[1].name and root.name in own:
            # The file store's own place, also of before it was moved: what it has stands beside its runs.
            return True
        return root.exists() or (root.name in _OWN_ROOTS and root.parent.exists())


def _has_any(folder: Path) -> bool:
    return folder.is_symlink() or (folder.is_dir() and any(folder.iterdir()))


def made_run(
    info: Mapping[str, Any], experiment: str, params: Mapping[str, str], tags: Mapping[str, str], where: str
) -> SourceRun:
    """Return a run from MLflow's info of it, by MLflow's names of the fields."""
    own_id = str(info["run_id"])
    name = info.get("run_name") or tags.get(NAME) or own_id
    started = int(info.get("start_time") or 0)
    ended = info.get("end_time")
    return SourceRun(
        id=run_uuid(KIND, own_id),
        origin=f"{KIND}:{own_id}",
        where=where,
        name=str(name),
        experiment=experiment,
        status=state_of(info.get("status")),
        stage="deleted" if info.get("lifecycle_stage") == "deleted" else "active",
        started_us=started * 1000,
        ended_us=None if ended is None else int(ended) * 1000,
        user=str(info.get("user_id") or tags.get(USER) or ""),
        parent_id=run_uuid(KIND, tags[PARENT]) if tags.get(PARENT) else None,
        note=tags.get(NOTE, ""),
        params=dict(params),
        tags=dict(tags),
    )


def state_of(given: object) -> RunStatus:
    """Return a state by its name or number; what is neither has been killed, as far as anybody knows."""
    text = str(given)
    return _STATES.get(text.upper()) or _NUMBERED.get(int(text) if text.isdecimal() else 0, "killed")


def model_state(given: object) -> Any:
    """Return the state of a logged model by its name or number."""
    return MODEL_STATES.get(str(given), "ready")


def source_here(source: str, location: str, run_id: str, model_id: str) -> tuple[str, str]:
    """Return the source of a version as it is here, and the id of its logged model.

    Files of a run are `runs:/<id>/<path>`, those of a logged model `models:/m-…`, wherever they lay; other places stay.
    """
    for text in (location, source):
        if match := _OF_MODEL.search(text):
            return f"models:/{match['model']}", match["model"]
        if run_id and (match := re.search(rf"/{re.escape(run_id)}/artifacts(?:/(?P<rest>.*))?$", text)):
            return f"runs:/{run_uuid(KIND, run_id).replace('-', '')}/{match['rest'] or ''}".rstrip("/"), ""
    if source.startswith("models:/m-"):
        return source, model_id or source.removeprefix("models:/").strip("/")
    return source, model_id


def local_folder(uri: str, base: Path | None = None) -> Path | None:
    """Return the folder that an artifact URI means on this machine; None for one that is elsewhere."""
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(urllib.parse.unquote(parts.path))
    if parts.scheme or not uri:
        return None
    path = Path(uri)
    return path if path.is_absolute() or base is None else base / path
