"""What MLflow's runs mean here, however they are read: ids, states, times, tags that are more than tags."""

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gimbal.axis.runs.experiments.model import DEFAULT
from gimbal.axis.runs.model import RunStatus
from gimbal.faces.importing.records import SourceRun, run_uuid

KIND = "mlflow"
PARENT, NAME, NOTE, USER = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content", "mlflow.user"
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
DELETED_VERSION = "Deleted_Internal"
_OF_RUN = re.compile(r"/(?P<run>[0-9a-zA-Z][\w\-]{0,255})/artifacts(?:/(?P<rest>.*))?$")
_OF_MODEL = re.compile(r"/models/(?P<model>m-[0-9a-f]{32})/artifacts(?:/.*)?$")


def experiment_name(name: str, own_id: str) -> str:
    """Return the name of an experiment here: MLflow's own `Default` is the project's `default`."""
    return DEFAULT if own_id == "0" and name == "Default" else name


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
        match = _OF_RUN.search(text)
        if match and run_id and match["run"] == run_id:
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
