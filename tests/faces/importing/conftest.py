"""The command `gimbal import` as a person calls it, MLflow's own clients that fill its sources, and a store of theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faces.cli.conftest import Cli, alone, cli  # noqa: F401 - fixtures
from tests.mlflow_clients import MlflowClient, mlflow_client  # noqa: F401 - fixtures

SCRIPTS = Path(__file__).with_name("scripts")
Told = dict[str, Any]
Bring = Callable[..., tuple[int, Told]]


@pytest.fixture
def bring(cli: Cli) -> Bring:  # noqa: F811 - the fixture
    """Run `gimbal import …`; return its exit code and what it told."""

    def run(kind: str, source: str | Path, *flags: str) -> tuple[int, Told]:
        ran = cli("import", kind, str(source), *flags, "--json")
        assert ran.out.startswith("{"), ran.err
        return ran.code, json.loads(ran.out)

    return run


@pytest.fixture
def mlruns(mlflow_client: MlflowClient, tmp_path: Path) -> Path:  # noqa: F811 - the fixture
    """Give a file store that MLflow's own client wrote."""
    folder = tmp_path / "mlruns"
    mlflow_client.run(SCRIPTS / "fill.py", folder.as_uri(), tmp_path.name, MLFLOW_ALLOW_FILE_STORE="true")
    return folder
