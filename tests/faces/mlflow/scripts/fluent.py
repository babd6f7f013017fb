"""The fluent interface, as training scripts use it."""

import math
import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from refusals import INVALID, refused

name = sys.argv[1]
made = mlflow.set_experiment(name)
assert made.name == name
assert made.lifecycle_stage == "active"
assert mlflow.set_experiment(name).experiment_id == made.experiment_id
mlflow.set_experiment_tag("team", "night shift")
assert mlflow.get_experiment(made.experiment_id).tags["team"] == "night shift"

with mlflow.start_run(run_name="outer", tags={"kind": "sweep"}, description="what it is") as outer:
    mlflow.log_param("depth", 3)
    mlflow.log_param("depth", 3)
    mlflow.log_params({"α/β.ж-δ: ε": "ζ", "empty": "", "long": "x" * 7000, "none": None})
    assert "Changing param values is not allowed" in refused(INVALID, mlflow.log_param, "depth", 4)
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"nan": math.nan, "up": math.inf, "down": -math.inf}, step=-7)
    mlflow.set_tags({"stage": "one", "odd key/with: all.of-it": "ü"})
    mlflow.set_tag("stage", "two")
    mlflow.set_tag("gone", "soon")
    mlflow.delete_tag("gone")
    with mlflow.start_run(nested=True, run_name="inner") as inner:
        mlflow.log_metric("loss", 0.25)

client = MlflowClient()
seen = client.get_run(outer.info.run_id)
assert seen.info.status == "FINISHED", seen.info
assert seen.info.run_name == "outer"
assert seen.info.experiment_id == made.experiment_id
assert seen.info.start_time <= seen.info.end_time <= time.time() * 1000 + 1000
assert seen.data.params["depth"] == "3"
assert seen.data.params["α/β.ж-δ: ε"] == "ζ"
assert seen.data.params["empty"] == ""
assert seen.data.params["none"] == "None"
assert seen.data.params["long"] == "x" * 6000
assert seen.data.metrics["loss"] == 0.2
assert math.isnan(seen.data.metrics["nan"])
assert seen.data.metrics["up"] == math.inf
assert seen.data.metrics["down"] == -math.inf
assert seen.data.tags["stage"] == "two"
assert seen.data.tags["odd key/with: all.of-it"] == "ü"
assert seen.data.tags["mlflow.note.content"] == "what it is"
assert "gone" not in seen.data.tags
assert client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == outer.info.run_id

history = client.get_metric_history(outer.info.run_id, "loss")
assert [(one.step, one.value) for one in history] == [(step, 1 / (step + 1)) for step in range(5)], history
assert client.get_metric_history(outer.info.run_id, "never") == []
assert client.get_metric_history(outer.info.run_id, "nan")[0].step == -7

# Resumed: it runs again, and ends again.
with mlflow.start_run(run_id=outer.info.run_id) as again:
    assert client.get_run(again.info.run_id).info.status == "RUNNING"
    mlflow.log_metric("loss", 0.1, step=9)
    mlflow.log_param("late", "yes")
assert client.get_run(outer.info.run_id).info.status == "FINISHED"
assert client.get_run(outer.info.run_id).data.metrics["loss"] == 0.1

try:
    with mlflow.start_run() as failing:
        mlflow.log_metric("never", 1 / 0)
except ZeroDivisionError:
    pass
failed = client.get_run(failing.info.run_id)
assert failed.info.status == "FAILED"
assert failed.info.run_name

# The client's own interface.
run = client.create_run(made.experiment_id, start_time=1_700_000_000_123, tags={"a": "b"}, run_name="by hand")
now = int(time.time() * 1000)
client.log_batch(
    run.info.run_id,
    metrics=[Metric(f"m{i % 10}", float(i), now + i, i // 10) for i in range(700)],
    params=[Param(f"p{i}", str(i)) for i in range(100)],
    tags=[RunTag(f"t{i}", str(i)) for i in range(100)],
)
client.update_run(run.info.run_id, name="renamed")
client.set_terminated(run.info.run_id, "KILLED", end_time=1_700_000_001_000)
seen = client.get_run(run.info.run_id)
assert (seen.info.start_time, seen.info.end_time) == (1_700_000_000_123, 1_700_000_001_000)
assert (seen.info.run_name, seen.data.tags["mlflow.runName"]) == ("renamed", "renamed")
assert seen.info.status == "KILLED"
assert len(seen.data.params) == 100
assert seen.data.metrics["m9"] == 699.0
assert len(client.get_metric_history(run.info.run_id, "m3")) == 70

client.set_tag(run.info.run_id, "mlflow.runName", "by tag")
assert client.get_run(run.info.run_id).info.run_name == "by tag"

client.delete_run(run.info.run_id)
assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
assert "must be in the 'active' state" in refused(INVALID, client.log_metric, run.info.run_id, "m", 1)
client.restore_run(run.info.run_id)
client.log_metric(run.info.run_id, "m", 1)
assert client.get_run(run.info.run_id).data.metrics["m"] == 1.0
print("ok")
