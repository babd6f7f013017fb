"""`mlflow.search_runs` as a table of pandas, as notebooks ask."""

import sys

import mlflow
import pandas as pd

experiment = mlflow.set_experiment(sys.argv[1]).experiment_id
for at in range(12):
    with mlflow.start_run(run_name=f"r{at}"):
        mlflow.log_param("depth", at % 3)
        mlflow.log_metrics({"loss": at / 10, "auc": 1 - at / 20})
        mlflow.set_tag("even", str(at % 2 == 0))

table = mlflow.search_runs([experiment], "metrics.loss >= 0.3", order_by=["metrics.auc DESC"])
assert isinstance(table, pd.DataFrame)
assert list(table["metrics.loss"]) == [at / 10 for at in range(3, 12)]
assert list(table["params.depth"]) == [str(at % 3) for at in range(3, 12)]
assert set(table["status"]) == {"FINISHED"}
assert table["start_time"].dt.tz is not None
assert (table["end_time"] >= table["start_time"]).all()
assert table["experiment_id"].unique().tolist() == [experiment]
assert len(mlflow.search_runs(experiment_names=[sys.argv[1]], max_results=5)) == 5
assert mlflow.search_runs([experiment], "tags.even = 'maybe'").empty
runs = mlflow.search_runs([experiment], output_format="list")
assert [one.info.run_name for one in runs][:2] == ["r11", "r10"]
assert mlflow.last_active_run().info.run_name == "r11"
print("ok")
