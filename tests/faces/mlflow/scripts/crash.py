"""A training that is killed in the middle, and goes on in another process."""

import os
import signal
import sys

import mlflow

name, act = sys.argv[1:3]
mlflow.set_experiment(name)
if act == "begin":
    with mlflow.start_run() as run:
        mlflow.log_param("seed", 1)
        print(run.info.run_id, flush=True)
        for step in range(25):
            mlflow.log_metric("loss", step, step=step)
        os.kill(os.getpid(), signal.SIGKILL)
else:
    client = mlflow.MlflowClient()
    run_id = sys.argv[3]
    assert client.get_run(run_id).info.status == "RUNNING"
    history = client.get_metric_history(run_id, "loss")
    assert [one.value for one in history] == [float(step) for step in range(25)], history
    with mlflow.start_run(run_id=run_id):
        mlflow.log_param("seed", 1)
        mlflow.log_metric("loss", 99, step=25)
    seen = client.get_run(run_id)
    assert (seen.info.status, seen.data.metrics["loss"]) == ("FINISHED", 99.0)
    print("ok")
