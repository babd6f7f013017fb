"""A training by the fluent interface with batches, a tag and a file, that waits to be killed once it has told its run."""

import sys
import time

import mlflow
from mlflow.entities import Metric

mlflow.set_experiment(sys.argv[1])
run = mlflow.start_run(run_name="long", log_system_metrics=False)
mlflow.log_params({"seed": 7, "depth": 3})
mlflow.log_text("half", "notes.txt")
client = mlflow.MlflowClient()
step = 0
while True:
    now = int(time.time() * 1000)
    client.log_batch(run.info.run_id, [Metric("loss", 1 / (at + 1), now, at) for at in range(step, step + 10)])
    step += 10
    print(run.info.run_id, step, flush=True)
