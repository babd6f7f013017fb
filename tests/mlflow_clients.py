"""MLflow's own clients, as the callers that judge our dialect: scripts that run in a process of their own.

`mlflow-skinny` is of the dev environment. The full client, with pandas, is looked for where the benches install their
peers (`.bench/mlflow`), and tests that need it are skipped where it is not.
"""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_FULL = ROOT / ".bench" / "mlflow" / "bin" / "python"


class MlflowClient:
    """A Python that has a client of MLflow."""

    def __init__(self, python: str) -> None:
        self._python = python

    def has(self, module: str) -> bool:
        """Tell whether a module can be imported beside it."""
        asked = f"import importlib.util as u, sys; sys.exit(not u.find_spec({module!r}))"
        return subprocess.run([self._python, "-c", asked], check=False, timeout=60).returncode == 0

    def run(self, script: Path, url: str, *args: str, ends: int = 0, **environment: str) -> str:
        """Run a script with MLFLOW_TRACKING_URI set; return what it printed, fail unless it `ends` with this status."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "GIMBAL_"))}
        told = {
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }
        done = subprocess.run(
            [self._python, str(script), *args],
            env=ours | told | environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == ends, f"{script.name}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@cache
def skinny() -> MlflowClient | None:
    """Return the client of the dev environment."""
    return MlflowClient(sys.executable) if importlib.util.find_spec("mlflow") else None


@cache
def full() -> MlflowClient | None:
    """Return the full client, with pandas."""
    if not _FULL.exists():
        return None
    client = MlflowClient(str(_FULL))
    return client if client.has("mlflow") and client.has("pandas") else None


@pytest.fixture(scope="session")
def mlflow_client() -> MlflowClient:
    """Give a client of MLflow, whichever is there."""
    found = skinny() or full()
    if found is None:
        pytest.skip("no client of MLflow: mlflow-skinny is not installed, and there is no .bench/mlflow")
    return found


@pytest.fixture(scope="session", params=["skinny", pytest.param("full", marks=pytest.mark.slow)])
def each_client(request: pytest.FixtureRequest) -> MlflowClient:
    """Give every client of MLflow that is there."""
    found = {"skinny": skinny, "full": full}[request.param]()
    if found is None:
        pytest.skip(f"the {request.param} client of MLflow is not installed here")
    return found


@pytest.fixture(scope="session")
def full_client() -> MlflowClient:
    """Give the full client, with pandas."""
    found = full()
    if found is None:
        pytest.skip("no full client of MLflow with pandas: there is no .bench/mlflow")
    return found
