"""`mlflow.models.evaluate` on a classifier: metrics of the run and of the logged model, curves and tables as files."""

import sys

import mlflow
from facts import tell
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment(sys.argv[1])
features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
made = LogisticRegression(max_iter=5000).fit(features, labels)
table = features.assign(label=labels)
with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(made, name="model", pip_requirements=["scikit-learn"])
    dataset = mlflow.data.from_pandas(table, name="cancer", targets="label")
    result = mlflow.models.evaluate(
        info.model_uri, dataset, model_type="classifier", evaluator_config={"log_explainer": False}
    )
logged = mlflow.get_logged_model(info.model_id)
tell(
    run=run.info.run_id,
    model=info.model_id,
    accuracy=result.metrics["accuracy_score"],
    files=sorted(result.artifacts),
    of_model={one.key: one.dataset_name for one in logged.metrics or []},
)
