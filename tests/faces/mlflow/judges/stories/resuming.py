"""Goes on with a run that was killed: what it had acknowledged is there, and parameters are still what they were."""

import sys

import mlflow
from facts import tell
from mlflow.exceptions import MlflowException

run_id, acknowledged = sys.argv[1], int(sys.argv[2])
client = mlflow.MlflowClient()
before = client.get_run(run_id).info.status
steps = [one.step for one in client.get_metric_history(run_id, "loss")]
with mlflow.start_run(run_id=run_id):
    mlflow.log_param("seed", 7)
    try:
        mlflow.log_param("depth", 4)
    except MlflowException as error:
        refused = error.error_code
    mlflow.log_metric("loss", 0.0, step=acknowledged + 1000)
    mlflow.log_text("whole", "notes.txt")
tell(before=before, steps=steps, refused=refused, after=client.get_run(run_id).info.status)
