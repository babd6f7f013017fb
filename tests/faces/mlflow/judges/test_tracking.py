"""Runs by full clients of MLflow, judged by what stands on the server afterwards."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from bench.bar import Running
from tests.faces.mlflow.judges.conftest import STORIES, Story
from tests.mlflow_clients import MlflowClient

import gimbal
from gimbal.axis.runs.model import Run

pytestmark = pytest.mark.slow


def content(client: gimbal.Client, run: Run, path: str) -> bytes:
    """Return the bytes of a file of a run."""
    return b"".join(client.runs.artifact(run.id, path))


def test_files_of_every_kind(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Tables that grow, pictures, figures, dictionaries, texts, folders: each is a file with its kind."""
    facts = told(judge, "files", own)
    run = client.runs.show(facts["run"])

    assert (facts["rows"], facts["text"], facts["same"]) == ([0.5, 1.0, 0.25], "voilà", True)
    assert facts["config"] == {"a": [1, {"b": None}]}
    found = {one.path: one for one in client.runs.artifacts(run.id)}
    assert {"folder/deep/a.txt", "some/config.json", "some/config.yaml", "some/naïve text.txt"} <= found.keys()
    assert content(client, run, "folder/deep/a.txt") == b"deep"
    assert json.loads(content(client, run, "tables/answers.json"))["columns"] == ["question", "score"]
    assert content(client, run, "figures/line.png").startswith(b"\x89PNG")
    assert found["images/noise.png"].media_type == "image/png"
    assert len([path for path in found if path.startswith("images/sample") and path.endswith(".png")]) == 2
    assert json.loads(run.tags["mlflow.loggedArtifacts"]) == [{"path": "tables/answers.json", "type": "table"}]


def test_datasets_that_a_run_read(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Frames and arrays with their digests and sources; a metric of a dataset; runs found by what they read."""
    facts = told(judge, "datasets", own)

    assert sorted(facts["names"]) == ["flights", "pixels"]
    assert facts["url"] == "https://example.org/flights.csv"
    assert facts["found"] == [facts["run"]]
    assert client.runs.show(facts["run"]).metrics == {"rmse": 0.5}
    found = client.runs.search(
        experiments=[client.experiments.show(own).key],
        filter="datasets.name = 'pixels' AND datasets.context = 'validation'",
    )
    assert [one.id.replace("-", "") for one in found.items] == [facts["run"]]


def test_trees_of_runs_with_odd_names(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Parents and children, keys with spaces, dots, slashes and other letters, and the table that pandas shows."""
    facts = told(judge, "trees", own)

    assert facts["parent"] == facts["ids"]["fold 2"]
    assert facts["children"] == ["beside", "fold 0", "fold 1", "fold 2"]
    assert (facts["odd"], facts["quoted"], facts["apostrophe"]) == (["fold 1"], ["fold 1"], ["study"])
    assert (facts["ordered"], facts["limited"]) == (["fold 0", "fold 1", "fold 2"], ["beside", "leaf"])
    assert {"metrics.val/loss: 10 per-cent", "params.ключ", "params.learning rate", "tags.team/night shift"} <= {
        *facts["columns"]
    }
    assert facts["types"]["start_time"].startswith("datetime64[")
    assert (facts["types"]["metrics.val.f1"], facts["missing"]) == ("float64", 3)
    assert (facts["everywhere"], facts["by_name"]) == (3, 6)
    runs = {one.name: one for one in client.runs.list(experiment=own).items}
    assert (runs["beside"].status, runs["beside"].parent_id) == ("killed", runs["study"].id)
    assert runs["leaf"].parent_id == runs["fold 2"].id
    assert runs["fold 1"].params == {"learning rate": "0.2", "opt.name": "Adam", "ключ": "да"}
    assert runs["study"].tags["team/night shift"] == "it's ours"


def test_pages_while_another_process_writes(judge: MlflowClient, told: Story, own: str) -> None:
    """Of runs, experiments, models and versions: what was there before the first page comes, and comes once."""
    facts = told(judge, "pages", own)

    assert facts["written"] > 4
    assert facts["missed"] == {"runs": [], "experiments": [], "models": [], "versions": []}
    assert set(facts["twice"].values()) == {0}


def test_a_training_that_is_killed_and_goes_on(
    judge: MlflowClient, up: Running, told: Story, client: gimbal.Client, own: str
) -> None:
    """Killed from outside in the middle of its batches: all that it had been told was stored is there, and it goes on."""
    process = subprocess.Popen(
        [judge.python, str(STORIES / "dying.py"), own], env=judge.environment(up.url), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    run_id, acknowledged = "", 0
    while acknowledged < 200:
        run_id, step = process.stdout.readline().split()
        acknowledged = int(step)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    for line in process.stdout:
        if len(line.split()) == 2 and line.endswith("\n"):
            acknowledged = int(line.split()[1])
    assert client.runs.show(run_id).status == "running"

    facts = told(judge, "resuming", run_id, str(acknowledged))
    assert (facts["before"], facts["refused"], facts["after"]) == ("RUNNING", "INVALID_PARAMETER_VALUE", "FINISHED")
    # The batch under way when it died may be there, whole.
    assert facts["steps"] in (list(range(acknowledged)), list(range(acknowledged + 10)))
    run = client.runs.show(run_id)
    assert (run.status, run.params, run.metrics["loss"]) == ("finished", {"seed": "7", "depth": "3"}, 0.0)
    assert content(client, run, "notes.txt") == b"whole"


def test_logging_that_does_not_wait(judge: MlflowClient, told: Story, client: gimbal.Client, own: str) -> None:
    """Queues of the client and its thread that measures the machine: everything is there when the queues are empty."""
    facts = told(judge, "background", own)
    run = client.runs.show(facts["run"])

    assert facts["history"] == 400
    assert (run.status, run.metrics["loss"], run.metrics["b/c d"]) == ("finished", 1 / 400, 2.0)
    assert {f"p{at}": str(at) for at in range(150)} == run.params
    assert run.tags["kind"] == "async"
    assert "system/cpu_utilization_percentage" in run.metrics


def test_the_command_line(newest: MlflowClient, up: Running, client: gimbal.Client, own: str, tmp_path: Path) -> None:
    """`mlflow experiments`, `runs` and `artifacts`, as people type them."""

    def mlflow(*words: str) -> str:
        return newest.asked(["-m", "mlflow", *words], up.url, cwd=tmp_path, PYTHONWARNINGS="ignore")

    (tmp_path / "a.txt").write_text("by hand")
    mlflow("experiments", "create", "--experiment-name", own)
    key = str(client.experiments.show(own).key)
    run = client.runs.create(name="typed", experiment=own)
    plain = run.id.replace("-", "")
    mlflow("artifacts", "log-artifact", "--local-file", "a.txt", "--run-id", plain, "--artifact-path", "in")
    assert content(client, run, "in/a.txt") == b"by hand"
    mlflow("artifacts", "download", "--run-id", plain, "--artifact-path", "in", "--dst-path", "out")
    assert [found.read_text() for found in (tmp_path / "out").rglob("a.txt")] == ["by hand"]
    assert plain in mlflow("runs", "list", "--experiment-id", key)
    mlflow("runs", "delete", "--run-id", plain)
    assert client.runs.show(run.id).stage == "deleted"
