"""Logging that does not wait: system metrics, asynchronous batches, artifacts in the background."""

import sys
import time

import mlflow
from facts import tell

mlflow.set_experiment(sys.argv[1])
mlflow.enable_system_metrics_logging()
mlflow.set_system_metrics_sampling_interval(0.2)
mlflow.set_system_metrics_samples_before_logging(1)
mlflow.config.enable_async_logging(True)
with mlflow.start_run() as run:
    for step in range(400):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    pending = mlflow.log_metrics({"a": 1.0, "b/c d": 2.0}, step=7, synchronous=False)
    mlflow.log_params({f"p{at}": at for at in range(150)}, synchronous=False)
    mlflow.set_tags({"kind": "async"}, synchronous=False)
    pending.wait()
    mlflow.flush_async_logging()
    deadline = time.monotonic() + 20
    while not any(name.startswith("system/") for name in mlflow.get_run(run.info.run_id).data.metrics):
        assert time.monotonic() < deadline
        time.sleep(0.1)
mlflow.flush_async_logging()
tell(run=run.info.run_id, history=len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")))
