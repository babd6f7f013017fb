"""A run by somebody who has a key."""

import sys

import mlflow

mlflow.set_experiment(sys.argv[1])
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1)
found = mlflow.MlflowClient().get_experiment(run.info.experiment_id)
assert found.workspace == sys.argv[2], found
print("ok")
