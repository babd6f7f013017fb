"""scikit-learn under `mlflow.autolog()`: a search over a pipeline, its children, and a model that is loaded back."""

import sys

import mlflow
import pandas as pd
from facts import tell
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_experiment(sys.argv[1])
mlflow.autolog()
features, labels = load_iris(return_X_y=True, as_frame=True)
pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2)
with mlflow.start_run(run_name="search") as run:
    search.fit(features, labels)

seen = mlflow.get_run(run.info.run_id)
models = mlflow.search_logged_models([run.info.experiment_id], output_format="list")
best = next(one for one in models if one.name == "best_estimator")
loaded = mlflow.sklearn.load_model(best.model_uri)
tell(
    run=run.info.run_id,
    models=[one.name for one in models],
    best=best.model_id,
    same=bool((loaded.predict(features) == search.predict(features)).all()),
    table=pd.DataFrame(mlflow.search_runs([run.info.experiment_id]))["tags.mlflow.parentRunId"].notna().sum(),
    datasets=[(one.dataset.name, one.dataset.digest) for one in seen.inputs.dataset_inputs],
)
