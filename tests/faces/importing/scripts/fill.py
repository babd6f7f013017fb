"""Fills a store of MLflow with one of everything; the first word makes its names its own."""

import os
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric

mine = sys.argv[1]
uri = os.environ["MLFLOW_TRACKING_URI"]
mlflow.set_tracking_uri(uri)
mlflow.set_registry_uri(uri)
client = mlflow.MlflowClient()
files = Path(tempfile.mkdtemp())
(files / "sub").mkdir()
(files / "report.md").write_text("# All well")
(files / "sub" / "deep one.bin").write_bytes(bytes(range(256)))

one = client.create_experiment(f"{mine}: kept", tags={"team": "blue"})
gone = client.create_experiment(f"{mine}: gone")
mlflow.set_experiment(experiment_id=one)
with mlflow.start_run(run_name="a parent " + "whose name is long enough to be folded " * 3) as parent:
    run = parent.info.run_id
    mlflow.log_params({"lr": 0.1, "a/b/c": "nested", "text": "Grüße ✓", "lines": "one\ntwo", "empty": ""})
    for step in range(30):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    points = [
        Metric("nan", float("nan"), 1_700_000_000_000, 0),
        Metric("val/acc: x", 0.25, 1_700_000_000_001, -5),
        Metric("same", 1.0, 1_700_000_000_002, 0),
        Metric("same", 2.0, 1_700_000_000_002, 0),
    ]
    client.log_batch(run, points)
    mlflow.set_tags({"mlflow.note.content": "# A note", "k/ey": "v'\"alue: # {}"})
    client.log_artifacts(run, str(files))
    told = Dataset("flights", "d1", "local", "/x", schema='{"a": 1}', profile='{"n": 3}')
    client.log_inputs(run, [DatasetInput(told, [InputTag("mlflow.data.context", "training")])])
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("loss", 3.0)
failed = client.create_run(one, run_name="failed")
client.set_terminated(failed.info.run_id, "FAILED")
client.create_run(one, run_name="still running")
deleted = client.create_run(one, run_name="deleted")
client.log_param(deleted.info.run_id, "p", "1")
client.log_artifact(deleted.info.run_id, str(files / "report.md"))
client.delete_run(deleted.info.run_id)
client.log_metric(client.create_run(gone, run_name="in gone").info.run_id, "m", 1.0)
client.delete_experiment(gone)

model = client.create_logged_model(one, name="net", source_run_id=run, params={"depth": "3"}, tags={"t": "1"})
client.log_model_artifacts(model.model_id, str(files))
client.finalize_logged_model(model.model_id, "READY")
# Its file store forgets the step of a point with a dataset: 0 is the same on both sides.
client.log_metric(run, "score", 0.5, step=0, model_id=model.model_id, dataset_name="flights", dataset_digest="d1")
client.log_outputs(run, [LoggedModelOutput(model.model_id, 2)])

client.create_registered_model(f"{mine}-delay", tags={"own": "me"}, description="The model.")
client.create_model_version(f"{mine}-delay", f"runs:/{run}/sub", run, tags={"vt": "1"}, description="The first.")
client.create_model_version(f"{mine}-delay", f"runs:/{run}/sub", run)
client.create_model_version(f"{mine}-delay", f"models:/{model.model_id}", run, model_id=model.model_id)
client.delete_model_version(f"{mine}-delay", "2")
client.set_registered_model_alias(f"{mine}-delay", "champion", "1")
