"""Models, prompts and evaluations by full clients of MLflow, judged by what stands on the server afterwards."""

import json

import pytest
from tests.faces.mlflow.judges.conftest import Story
from tests.mlflow_clients import MlflowClient

import gimbal

pytestmark = pytest.mark.slow


def test_from_a_training_to_a_program_that_loads_it(
    judge: MlflowClient, told: Story, client: gimbal.Client, own: str
) -> None:
    """Logged, registered, under an alias, found, and loaded by a process that knows only the alias."""
    facts = told(judge, "registering", own, f"Delay of {own}")

    assert facts["same"]
    assert facts["expected"][:8] in facts["elsewhere"]
    assert "['a', 'b']" in facts["elsewhere"]
    assert (facts["better"], facts["table"]) == ([facts["model"]], ["delay", "worse"])
    assert (facts["champion"], facts["versions"]) == ("1", ["1", "2"])
    named = client.registry.show(name=f"Delay of {own}")
    version = client.assets.show(ref=f"model:{named.asset}@champion")
    assert (version.number, (version.run_id or "").replace("-", "")) == (1, facts["run"])
    assert {"MLmodel", "input_example.json"} <= {entry.path for entry in version.files}
    candidate = client.candidates.show(id=facts["model"])
    assert (candidate.params, candidate.tags["stage"]) == ({"fit_intercept": "True"}, "try")
    assert [(one.name, one.value) for one in candidate.metrics] == [("rmse", 0.125)]


def test_prompts(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Registered, found, aliased, moved, loaded and filled; ours like all others."""
    name = "".join(one if one.isalnum() else "_" for one in own)
    facts = told(judge, "prompts", name)

    assert facts["text"] == "Answer why briefly."
    assert facts["chat"] == [{"role": "system", "content": "You are calm."}, {"role": "user", "content": "why"}]
    assert (facts["found"], facts["refused"]) == ([name], "RESOURCE_DOES_NOT_EXIST")
    asset = client.registry.show(name=name).asset
    shown = client.prompts.render(ref=f"prompt:{asset}@production", variables={"tone": "calm", "question": "who"})
    assert [(one.role, one.content) for one in shown.messages] == [("system", "You are calm."), ("user", "who")]
    moves = client.assets.history(ref=f"prompt:{asset}", alias="production")
    assert len(moves) == 2


def test_a_classifier_is_evaluated(newest: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Metrics of the run and, with the dataset, of the logged model; curves and tables are files."""
    facts = told(newest, "evaluating", own)
    run = client.runs.show(facts["run"])

    assert run.metrics["accuracy_score"] == pytest.approx(facts["accuracy"])
    assert 0.9 < facts["accuracy"] <= 1
    assert {"roc_curve_plot", "confusion_matrix"} <= {*facts["files"]}
    files = {one.path for one in client.runs.artifacts(run.id)}
    assert {"roc_curve_plot.png", "confusion_matrix.png"} <= files
    assert facts["of_model"]["accuracy_score"] == "cancer"
    measured = {one.name: one for one in client.candidates.show(id=facts["model"]).metrics}
    assert measured["accuracy_score"].value == pytest.approx(facts["accuracy"])
    assert measured["accuracy_score"].dataset_name == "cancer"


def test_what_is_not_served_is_refused_by_name(judge: MlflowClient, told: Story) -> None:
    """MLflow's clients raise their own error, with the name of the feature and what there is instead."""
    facts = told(judge, "refusals")

    for feature, (code, message) in facts.items():
        assert code == "NOT_IMPLEMENTED", (feature, code, message)
        assert f"(feature: {feature})" in message, json.dumps(facts, indent=1)
