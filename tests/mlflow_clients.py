"""MLflow's own clients, as the callers that judge our dialect: scripts that run in a process of their own.

Each is forked from a process that has imported the client (`warm_client.py`), which would take seconds each time.

`mlflow-skinny` is of the dev environment. `make` puts the versions of MLflow that judge, and the training libraries that
they judge with, into `.judges`; tests that need what is not there are skipped.
"""

import atexit
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
JUDGES = ROOT / ".judges"
_TIMEOUT_S = 180
VERSIONS = ("3.18", "3.17")
"""Minor versions of MLflow that judge, the newest first."""


class MlflowClient(NamedTuple):
    """A Python that has a client of MLflow."""

    python: str
    before: tuple[Path, ...] = ()
    """Folders that are looked into before what the Python has itself."""

    def has(self, module: str) -> bool:
        """Tell whether a module can be imported beside it."""
        asked = [self.python, "-c", f"import {module}"]
        done = subprocess.run(asked, env=self.environment(""), check=False, timeout=180, capture_output=True)
        return done.returncode == 0

    def must_have(self, module: str) -> None:
        """Skip the test where a module cannot be imported: a wheel for other machines may have been installed."""
        if not self.has(module):
            pytest.skip(f"{module} cannot be imported beside this client")

    def environment(self, url: str, **more: str) -> dict[str, str]:
        """Return the variables under which it asks the server at an address."""
        # Without compiled modules a client takes ten seconds to import, each time.
        left_out = ("MLFLOW_", "GIMBAL_", "PYTHONDONTWRITEBYTECODE")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        told = {
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        }
        found = os.pathsep.join(map(str, self.before))
        return ours | told | ({"PYTHONPATH": found} if found else {}) | more

    def run(self, script: Path | str, url: str, *args: str, ends: int = 0, **environment: str) -> str:
        """Run a script with MLFLOW_TRACKING_URI set; return what it printed, fail unless it `ends` with this status."""
        given = self.environment(url, **environment)
        # Python itself looks at its own variables before anything is imported.
        own = tuple(sorted((name, value) for name, value in given.items() if name.startswith("PYTHON")))
        done = warm(self, own).run([str(script), *args], given)
        return checked(done, [str(script), *args], ends)

    def asked(self, words: list[str], url: str, *, ends: int = 0, cwd: Path | None = None, **environment: str) -> str:
        """Run its Python with these words; as `run`."""
        done = subprocess.run(
            [self.python, *words],
            env=self.environment(url, **environment),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return checked(done, words, ends)


def checked(done: subprocess.CompletedProcess[str], words: list[str], ends: int) -> str:
    """Return what a process printed; fail unless it ended with this status."""
    assert done.returncode == ends, f"{words[:3]}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Warm:
    """A process that has imported a client, and others that are forked from it, one for each script."""

    def __init__(self, client: MlflowClient, own: tuple[tuple[str, str], ...]) -> None:
        environment = client.environment("", **dict(own))
        command = [client.python, str(ROOT / "tests" / "warm_client.py")]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._one_at_a_time = threading.Lock()
        atexit.register(self.close)

    def run(self, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a script under these variables and no others."""
        with self._one_at_a_time, tempfile.TemporaryDirectory(prefix="gimbal-warm-") as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            out.touch()
            err.touch()
            job = {"words": words, "environment": environment, "out": str(out), "err": str(err)}
            assert self._process.stdin is not None
            self._process.stdin.write(f"{json.dumps(job)}\n")
            too_long = threading.Timer(_TIMEOUT_S, os.kill, (self._answer(), signal.SIGKILL))
            too_long.start()
            try:
                code = self._answer()
            finally:
                too_long.cancel()
            return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"MLflow's client could not be imported: status {self._process.wait()}"
        return int(line)

    def close(self) -> None:
        """End it; what it forked has ended."""
        self._process.kill()
        self._process.wait()


@cache
def warm(client: MlflowClient, own: tuple[tuple[str, str], ...]) -> Warm:
    """Return the process that forks for a client; Python's own variables are those with which it was started."""
    return Warm(client, own)


def missing(name: str) -> str:
    """Return why a part of `.judges` is not there; empty when it is."""
    made = f".judges/{name}/.ready"
    return "" if (ROOT / made).exists() else f"`make {made}` could not install it, or was not asked to"


def trainer(module: str) -> str:
    """Return the Python that has a training library, and no MLflow; skip the test where there is none."""
    if missing("frameworks"):
        pytest.skip(f"training libraries: {missing('frameworks')}")
    found = MlflowClient(str(JUDGES / "frameworks" / "bin" / "python"))
    found.must_have(module)
    return found.python


@cache
def judge(version: str) -> MlflowClient | None:
    """Return the full client of a minor version of MLflow with pandas and the training libraries, if it is there."""
    if missing(f"mlflow-{version}") or missing("frameworks"):
        return None
    return MlflowClient(str(JUDGES / "frameworks" / "bin" / "python"), (JUDGES / f"mlflow-{version}",))


@cache
def skinny(version: str = "") -> MlflowClient | None:
    """Return the client of the dev environment, or what another version is beside the packages of that."""
    if not importlib.util.find_spec("mlflow"):
        return None
    if not version:
        return MlflowClient(sys.executable)
    return None if missing(f"mlflow-{version}") else MlflowClient(sys.executable, (JUDGES / f"mlflow-{version}",))


@pytest.fixture(scope="session")
def mlflow_client() -> MlflowClient:
    """Give a client of MLflow, whichever is there."""
    found = skinny() or judge(VERSIONS[0])
    if found is None:
        pytest.skip("no client of MLflow: mlflow-skinny is not installed, and there is none in .judges")
    return found


@pytest.fixture(scope="session", params=["skinny", f"skinny-{VERSIONS[0]}"])
def each_client(request: pytest.FixtureRequest) -> MlflowClient:
    """Give the client of the dev environment, and the newest one beside the same packages."""
    found = skinny(request.param.partition("-")[2])
    if found is None:
        pytest.skip(f"the {request.param} client of MLflow is not installed here")
    return found


@pytest.fixture(scope="session")
def full_client() -> MlflowClient:
    """Give the newest full client, with pandas and training libraries."""
    return full(VERSIONS[0])


def full(version: str) -> MlflowClient:
    """Return the full client of a version; skip the test where there is none."""
    found = judge(version)
    if found is None:
        pytest.skip(f"MLflow {version}: {missing('frameworks') or missing(f'mlflow-{version}')}")
    return found
