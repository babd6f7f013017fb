"""What `mlflow.autolog()` sends of a fit by scikit-learn, and the model loaded back."""

import sys

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment(sys.argv[1])
mlflow.autolog()
features, labels = load_iris(return_X_y=True)
with mlflow.start_run() as run:
    fitted = LogisticRegression(max_iter=200).fit(features, labels)

client = mlflow.MlflowClient()
seen = client.get_run(run.info.run_id)
assert seen.info.status == "FINISHED"
assert seen.data.params["max_iter"] == "200"
assert seen.data.metrics["training_accuracy_score"] > 0.9
assert seen.data.tags["estimator_name"] == "LogisticRegression"
read = seen.inputs.dataset_inputs
assert [tag.value for tag in read[0].tags] == ["train"]
assert read[0].dataset.digest
assert {one.path for one in client.list_artifacts(run.info.run_id)} >= {"estimator.html"}
models = mlflow.search_logged_models([run.info.experiment_id], output_format="list")
assert [one.model_id for one in models] == [one.model_id for one in seen.outputs.model_outputs]
loaded = mlflow.pyfunc.load_model(models[0].model_uri)
assert list(loaded.predict(features)) == list(fitted.predict(features))
print("ok")
