"""Datasets that a run read, and models in the old form."""

import json
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.rest_utils import http_request
from refusals import INVALID, refused

client = MlflowClient()
store = client._tracking_client.store
experiment = mlflow.set_experiment(sys.argv[1]).experiment_id


def told(name: str, digest: str = "d1", context: str = "train", **more: str) -> DatasetInput:
    described = {"source_type": "local", "source": '{"uri": "x.csv"}', "schema": "{}", "profile": '{"rows": 3}'} | more
    return DatasetInput(Dataset(name=name, digest=digest, **described), [InputTag("mlflow.data.context", context)])


run = client.create_run(experiment).info.run_id
client.log_inputs(run, [told("flights"), told("weather", "d2", "test")])
client.log_inputs(run, [told("flights")])
client.log_inputs(run, [])
read = client.get_run(run).inputs.dataset_inputs
assert [(one.dataset.name, one.dataset.digest, one.tags[0].value) for one in read] == [
    ("flights", "d1", "train"),
    ("weather", "d2", "test"),
], read
assert (read[0].dataset.source, read[0].dataset.profile) == ('{"uri": "x.csv"}', '{"rows": 3}')
refused(INVALID, client.log_inputs, run, [told("x" * 501)])
refused(INVALID, client.log_inputs, run, [told("x", "d" * 37)])
refused(INVALID, client.log_inputs, run, [told("x", schema="s" * 1_048_576)])
refused(INVALID, client.log_inputs, run, [told("")])
client.log_inputs(run, [told("wide", schema="s" * 1_048_575)])

other = client.create_run(experiment).info.run_id
client.log_inputs(other, [told("flights", context="eval")])
# As MLflow's definition has it, without the slash; as its pages ask; and as one would expect.
for path in ("/api/2.0mlflow", "/ajax-api/2.0/mlflow", "/api/2.0/mlflow"):
    found = http_request(
        store.get_host_creds(), f"{path}/experiments/search-datasets", "POST", json={"experiment_ids": [experiment]}
    ).json()["dataset_summaries"]
    assert {(one["name"], one["digest"], one["context"]) for one in found} == {
        ("flights", "d1", "train"), ("flights", "d1", "eval"), ("weather", "d2", "test"), ("wide", "d1", "train"),
    }, found  # fmt: skip
    assert {one["experiment_id"] for one in found} == {experiment}

for path in ("one", "two"):
    model = {"artifact_path": path, "flavors": {}, "utc_time_created": "2026", "run_id": run}
    http_request(
        store.get_host_creds(), "/api/2.0/mlflow/runs/log-model", "POST",
        json={"run_id": run, "model_json": json.dumps(model)},
    )  # fmt: skip
listed = json.loads(client.get_run(run).data.tags["mlflow.log-model.history"])
assert [one["artifact_path"] for one in listed] == ["one", "two"]
for wrong in ("{", "[]", "{}", '"x"'):
    reply = http_request(
        store.get_host_creds(), "/api/2.0/mlflow/runs/log-model", "POST", json={"run_id": run, "model_json": wrong},
        raise_on_status=False,
    )  # fmt: skip
    assert reply.status_code == 400, reply.text
print("ok")
