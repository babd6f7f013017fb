"""A run in a workspace."""

import sys

import mlflow

mlflow.set_workspace(sys.argv[1])
mlflow.set_experiment("in it")
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1)
assert sys.argv[1] in {one.name for one in mlflow.list_workspaces()}
assert mlflow.MlflowClient().get_run(run.info.run_id).data.metrics == {"m": 1.0}
print(run.info.run_id, "ok")
