"""XGBoost under `mlflow.autolog()`: rounds, importances as a picture, and a model that is loaded back."""

import sys

import mlflow
import numpy as np
import xgboost
from facts import tell
from sklearn.datasets import load_breast_cancer

mlflow.set_experiment(sys.argv[1])
mlflow.autolog()
features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
data = xgboost.DMatrix(features, labels)
with mlflow.start_run() as run:
    asked = {"max_depth": 2, "objective": "binary:logistic", "eval_metric": "logloss"}
    made = xgboost.train(asked, data, 5, evals=[(data, "train")], verbose_eval=False)
model = mlflow.last_logged_model()
loaded = mlflow.xgboost.load_model(model.model_uri)
tell(run=run.info.run_id, model=model.model_id, same=bool(np.allclose(loaded.predict(data), made.predict(data))))
