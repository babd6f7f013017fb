"""Tells as JSON what MLflow's client sees in a store of what `fill.py` put there, in a form that is the same for all stores."""

import json
import os
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities import ViewType

mine = sys.argv[1]
uri = os.environ["MLFLOW_TRACKING_URI"]
mlflow.set_tracking_uri(uri)
mlflow.set_registry_uri(uri)
client = mlflow.MlflowClient()
OWN = "gimbal.import."


def texts(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in sorted(tags.items()) if not key.startswith(OWN)}


def files(run_id: str, folder: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for one in client.list_artifacts(run_id, folder or None):
        if one.is_dir:
            found |= files(run_id, one.path)
        else:
            to = tempfile.mkdtemp()
            found[one.path] = Path(client.download_artifacts(run_id, one.path, to)).read_bytes().hex()
    return found


def run_of(run: mlflow.entities.Run) -> dict[str, object]:
    info, data = run.info, run.data
    points = {
        key: sorted((one.step, one.timestamp, repr(one.value)) for one in client.get_metric_history(info.run_id, key))
        for key in sorted(data.metrics)
    }
    read = [
        (one.dataset.name, one.dataset.digest, one.dataset.schema, {tag.key: tag.value for tag in one.tags})
        for one in run.inputs.dataset_inputs
    ]
    made = [(one.model_id, one.step) for one in (run.outputs.model_outputs if run.outputs else [])]
    told = (info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.user_id)
    kept = {} if info.lifecycle_stage == "deleted" else files(info.run_id)
    return {
        "info": told, "params": data.params, "tags": texts(data.tags), "points": points, "read": read, "made": made,
        "files": kept, "latest": {key: repr(value) for key, value in sorted(data.metrics.items())},
    }  # fmt: skip


found: dict[str, object] = {}
named = [one for one in client.search_experiments(view_type=ViewType.ALL) if one.name.startswith(f"{mine}: ")]
for one in sorted(named, key=lambda one: one.name):
    runs = client.search_runs([one.experiment_id], run_view_type=ViewType.ALL)
    found[one.name] = {
        "told": (one.lifecycle_stage, one.creation_time, texts(one.tags)),
        "runs": {run.info.run_id: run_of(run) for run in sorted(runs, key=lambda run: run.info.run_id)},
        "models": [
            (m.model_id, m.name, m.source_run_id, str(m.status), texts(m.tags), m.params, m.creation_timestamp,
             [(x.key, x.value, x.step, x.dataset_name, x.run_id) for x in m.metrics or []])
            for m in client.search_logged_models([one.experiment_id])
        ] if one.lifecycle_stage == "active" else [],
    }  # fmt: skip
name = f"{mine}-delay"
registered = client.get_registered_model(name)
# A search of some of MLflow's stores tells no aliases, and of what has no description one says nothing, another an empty text.
numbers = sorted(int(one.version) for one in client.search_model_versions(f"name = '{name}'"))
versions = [client.get_model_version(name, str(number)) for number in numbers]
found["registered"] = (
    registered.description, registered.tags, registered.aliases,
    [(int(v.version), v.run_id, v.description or "", texts(v.tags), v.current_stage, list(v.aliases)) for v in versions],
)  # fmt: skip
print(json.dumps(found, sort_keys=True))
