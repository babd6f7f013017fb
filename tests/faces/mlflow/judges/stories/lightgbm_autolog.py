"""LightGBM under `mlflow.autolog()`: rounds, importances as a picture, and a model that is loaded back."""

import sys

import lightgbm
import mlflow
import numpy as np
from facts import tell
from sklearn.datasets import load_breast_cancer

mlflow.set_experiment(sys.argv[1])
mlflow.autolog()
features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
data = lightgbm.Dataset(features, labels)
with mlflow.start_run() as run:
    asked = {"max_depth": 2, "objective": "binary", "metric": "binary_logloss", "verbose": -1}
    made = lightgbm.train(asked, data, 5, valid_sets=[data], valid_names=["train"])
model = mlflow.last_logged_model()
loaded = mlflow.lightgbm.load_model(model.model_uri)
tell(
    run=run.info.run_id, model=model.model_id, same=bool(np.allclose(loaded.predict(features), made.predict(features)))
)
