"""Scripts as people write them, by MLflow's own clients: nothing but the address is ours."""

import itertools
import signal

import pytest
from bench.bar import Running
from tests.faces.mlflow.conftest import SCRIPTS
from tests.mlflow_clients import MlflowClient

NUMBERS = itertools.count()


@pytest.mark.parametrize("story", ["fluent", "experiments", "history", "inputs", "search"])
def test_a_story_goes_as_with_mlflows_own_server(each_client: MlflowClient, up: Running, story: str) -> None:
    """The script asserts what it sees; it ends well with each client."""
    assert each_client.run(SCRIPTS / f"{story}.py", up.url, f"{story} {next(NUMBERS)}").endswith("ok\n")


@pytest.mark.slow
def test_runs_are_a_table_of_pandas(full_client: MlflowClient, up: Running) -> None:
    """`mlflow.search_runs` fills a data frame, with times, filters and orders."""
    assert full_client.run(SCRIPTS / "frames.py", up.url, f"frames {next(NUMBERS)}").endswith("ok\n")


def test_a_training_that_was_killed_goes_on(mlflow_client: MlflowClient, up: Running) -> None:
    """What it had been told was stored is there, once, and the run is running until somebody ends it."""
    script, name = SCRIPTS / "crash.py", f"crash {next(NUMBERS)}"
    run_id = mlflow_client.run(script, up.url, name, "begin", ends=-signal.SIGKILL).strip().splitlines()[-1]
    assert mlflow_client.run(script, up.url, name, "resume", run_id).endswith("ok\n")


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["sklearn"])
def test_autolog_sends_all_of_a_training(full_client: MlflowClient, up: Running, framework: str) -> None:
    """Parameters, metrics, datasets, pictures and the model, which is loaded back and predicts the same."""
    if not full_client.has(framework):
        pytest.skip(f"{framework} is not installed beside the full client of MLflow")
    script = SCRIPTS / f"autolog_{framework}.py"
    assert full_client.run(script, up.url, f"autolog {next(NUMBERS)}").endswith("ok\n")
