"""Datasets that a run reads: of pandas and numpy, with contexts, by the fluent interface, and found again."""

import sys

import mlflow
import numpy as np
import pandas as pd
from facts import tell

mlflow.set_experiment(sys.argv[1])
frame = pd.DataFrame({"hour": [6, 12, 23], "carrier": ["AA", "UA", "DL"], "delay": [1.5, 0.0, 42.0]})
flights = mlflow.data.from_pandas(frame, source="https://example.org/flights.csv", name="flights", targets="delay")
pixels = mlflow.data.from_numpy(np.zeros((4, 8, 8)), targets=np.arange(4), name="pixels")
with mlflow.start_run() as run:
    mlflow.log_input(flights, context="training")
    mlflow.log_input(pixels, context="validation", tags={"fold": "1"})
    mlflow.log_metric("rmse", 0.5, dataset=flights)
read = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
source = mlflow.data.get_source(next(one.dataset for one in read if one.dataset.name == "flights"))
found = mlflow.search_runs(filter_string="datasets.name = 'flights' AND datasets.context = 'training'")
tell(
    run=run.info.run_id,
    names=[one.dataset.name for one in read],
    digests={"flights": flights.digest, "pixels": pixels.digest},
    url=source.url,
    found=found["run_id"].tolist(),
)
