"""MLflow's autolog with the libraries that people train with, judged by what stands on the server afterwards."""

import pytest
from tests.faces.mlflow.judges.conftest import Story
from tests.mlflow_clients import MlflowClient

import gimbal
from gimbal.axis.runs.model import Run

pytestmark = pytest.mark.slow


def steps(client: gimbal.Client, run: Run, name: str) -> list[int]:
    """Return at which steps a metric has points."""
    return [point.step for point in client.runs.metric(run.id, name).items]


def paths(client: gimbal.Client, run: Run) -> set[str]:
    """Return the paths of a run's files."""
    return {one.path for one in client.runs.artifacts(run.id)}


def test_a_search_of_scikit_learn(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Parameters and scores of the best, a child run for each candidate, the dataset, and the model, which is loaded."""
    facts = told(judge, "sklearn_autolog", own)
    run = client.runs.show(facts["run"])

    assert facts["same"]
    assert (run.status, run.experiment, run.name) == ("finished", own, "search")
    assert run.params["best_logisticregression__C"] in {"0.1", "1.0"}
    assert 0.9 < float(run.metrics["best_cv_score"]) <= 1
    assert 0.9 < float(run.metrics["training_accuracy_score"]) <= 1
    assert {"cv_results.csv", "estimator.html"} <= paths(client, run)
    children = [one for one in client.runs.list(experiment=own).items if one.parent_id == run.id]
    assert sorted(one.params["logisticregression__C"] for one in children) == ["0.1", "1.0"]
    assert len(children) == facts["table"]
    best = client.candidates.show(id=facts["best"])
    assert (best.name, best.status, best.source_run_id) == ("best_estimator", "ready", run.id)
    assert len(facts["datasets"]) == 1


@pytest.mark.parametrize(("library", "loss"), [("xgboost", "train-logloss"), ("lightgbm", "train-binary_logloss")])
def test_boosting(newest: MlflowClient, told: Story, client: gimbal.Client, own: str, library: str, loss: str) -> None:
    """Each round is a point, importances are a picture and a table, and the model is loaded."""
    facts = told(newest, f"{library}_autolog", own)
    run = client.runs.show(facts["run"])

    assert facts["same"]
    assert (run.status, run.params["max_depth"]) == ("finished", "2")
    assert steps(client, run, loss) == [0, 1, 2, 3, 4]
    assert any(path.startswith("feature_importance") and path.endswith(".png") for path in paths(client, run))
    assert client.candidates.show(id=facts["model"]).status == "ready"


def test_lightning(newest: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Losses of steps and epochs, the optimizer, the summary of the model, and the model, which is loaded."""
    newest.must_have("torch")
    facts = told(newest, "lightning_autolog", own)
    run = client.runs.show(facts["run"])

    assert facts["same"]
    assert (run.status, run.params["optimizer_name"], run.params["lr"]) == ("finished", "SGD", "0.05")
    assert steps(client, run, "loss_epoch") == [0, 1, 2]
    assert steps(client, run, "loss_step")
    assert float(run.metrics["loss_epoch"]) > 0
    assert "model_summary.txt" in paths(client, run)
    assert client.candidates.show(id=facts["model"]).status == "ready"


def test_keras(newest: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Losses of epochs, the optimizer, the summary of the model, and the model, which is loaded."""
    newest.must_have("torch")
    facts = told(newest, "keras_autolog", own)
    run = client.runs.show(facts["run"])

    assert facts["same"]
    assert (run.status, run.params["epochs"], run.params["batch_size"]) == ("finished", "2", "16")
    assert steps(client, run, "mae") == [0, 1]
    assert "model_summary.txt" in paths(client, run)
    assert client.candidates.show(id=facts["model"]).status == "ready"
