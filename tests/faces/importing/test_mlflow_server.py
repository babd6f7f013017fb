"""Import from MLflow's own server, which its own client filled: over its calls, and from the database behind it."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from bench.bar import free_port
from bench.peers import ready
from tests.faces.importing.conftest import SCRIPTS, Bring
from tests.mlflow_clients import VERSIONS, MlflowClient, full

import gimbal

_START_S = 150


class Server(NamedTuple):
    """MLflow's server that runs."""

    client: MlflowClient
    url: str
    database: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the newest one with SQLite, its files served by itself."""
    client, folder, port = full(VERSIONS[0]), tmp_path_factory.mktemp("mlflow"), free_port()
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    log = folder / "said.log"
    with log.open("wb") as output:
        # In a session of its own: its workers are its children.
        process = subprocess.Popen(
            [client.python, *words], env=client.environment(""), cwd=folder, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + _START_S
    try:
        while not ready(port, "/health"):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.3)
        yield Server(client, url, folder / "mlflow.db")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_over_its_calls(server: Server, client: gimbal.Client, bring: Bring, tmp_path: Path) -> None:
    """Runs, points, files, models and versions are the same to MLflow's client on both sides, and stay so."""
    server.client.run(SCRIPTS / "fill.py", server.url, tmp_path.name)
    code, told = bring("mlflow", server.url)

    assert (code, told["problems"]) == (0, [])
    there = json.loads(server.client.run(SCRIPTS / "dump.py", server.url, tmp_path.name))
    here = json.loads(server.client.run(SCRIPTS / "dump.py", client.transport.url, tmp_path.name))
    assert here == there
    assert bring("mlflow", server.url)[1]["counts"]["created"] == 0
    code, compared = bring("mlflow", server.url, "--verify")
    assert (code, compared["differences"]) == (0, [])


def test_from_its_database(server: Server, client: gimbal.Client, bring: Bring, tmp_path: Path) -> None:
    """The same runs, points, models and versions; files, which only its server gives out, are left out."""
    server.client.run(SCRIPTS / "fill.py", server.url, tmp_path.name)
    code, told = bring("mlflow", f"sqlite:///{server.database}", "--no-artifacts")

    assert (code, told["problems"]) == (0, [])
    there, here = (
        json.loads(server.client.run(SCRIPTS / "dump.py", url, tmp_path.name))
        for url in (server.url, client.transport.url)
    )
    for side in (there, here):
        for one in side.values():
            for run in one["runs"].values() if isinstance(one, dict) else ():
                del run["files"]
    assert here == there
