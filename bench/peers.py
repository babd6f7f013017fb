"""The peers that ingest and questions are measured beside: each in a virtual environment of its own under `.bench/`.

They are installed by pip when first asked for, pinned in `peers.txt`, started on loopback with the SQLite that they
choose by themselves, and asked over HTTP how much they have stored.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.bar import free_port
from bench.load import PER_TRACE

_HERE = Path(__file__).parent
_ENVIRONMENTS = _HERE.parent / ".bench"
_INSTALL_S, _START_S = 1200, 180


class Peer(NamedTuple):
    """How a peer is run."""

    name: str
    command: Callable[[int, Path], list[str]]
    """Words behind the environment's `bin/`, by port and data folder."""
    environment: Callable[[int, Path], dict[str, str]]
    ready: str
    """Path that answers 200 when it is up."""
    headers: dict[str, str]
    stored: Callable[[int], int]
    """Spans that the peer at a port says it has."""


class PeerMissing(Exception):
    """A peer that cannot be had here, and why."""


class Beside(NamedTuple):
    """A peer that is running."""

    port: int
    stored: Callable[[], int]
    folder: Path
    """What it stores is in here."""


def version(peer: Peer) -> str:
    """Return the pinned version."""
    return pinned(peer.name)


def pinned(name: str) -> str:
    """Return the pinned version of a package."""
    pins = dict(line.split("==") for line in (_HERE / "peers.txt").read_text().split())
    return pins[name]


def installed(peer: Peer) -> Path:
    """Return the peer's `bin` folder, made when it is not there; raise PeerMissing when that fails."""
    return environment(peer.name)


def environment(name: str, *beside: str) -> Path:
    """Return the `bin` folder of a package's environment, with others beside it; raise PeerMissing when that fails."""
    folder = _ENVIRONMENTS / name
    done = folder / "-".join((".ready", pinned(name), *beside))
    if not done.exists():
        print(
            f"      installing {' and '.join((f'{name} {pinned(name)}', *beside))} into {folder.relative_to(_HERE.parent)} …",
            flush=True,
        )
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, f"{name}=={pinned(name)}", *beside]):
            try:
                ended = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
            except (OSError, subprocess.TimeoutExpired) as problem:
                raise PeerMissing(str(problem)) from None
            if ended.returncode:
                raise PeerMissing((ended.stderr.strip().splitlines() or ["no reason given"])[-1][:200])
        done.touch()
    return folder / "bin"


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[Beside]:
    """Start a peer on a fresh folder and stop it again; raise PeerMissing when it does not come up."""
    programs = installed(peer)
    with tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as text:
        folder, port = Path(text), free_port()
        first, *rest = peer.command(port, folder)
        environment = {**os.environ, "DO_NOT_TRACK": "1", **peer.environment(port, folder)}
        log = folder / "said.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(programs / first), *rest], env=environment, stdout=output, stderr=output, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + _START_S
            while not ready(port, peer.ready):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise PeerMissing(f"it did not start: {log.read_text(errors='replace')[-200:]!r}")
                time.sleep(0.2)
            yield Beside(port, lambda: peer.stored(port), folder)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                # Its children are in the session that was started for it.
                os.killpg(process.pid, 9)
                process.wait(10)


def ready(port: int, path: str) -> bool:
    """Tell whether what is at a port answers a path with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def _ask(port: int, path: str, question: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(question).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)


def _mlflow_stored(port: int) -> int:
    """Count traces, page by page: it lists those only, and each of ours has five spans."""
    place = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]
    question: dict[str, Any] = {"locations": place, "max_results": 500}
    traces = 0
    for _ in itertools.count():
        page = _ask(port, "/api/3.0/mlflow/traces/search", question)
        traces += len(page.get("traces", []))
        if not page.get("next_page_token"):
            break
        question["page_token"] = page["next_page_token"]
    return traces * PER_TRACE


def _phoenix_stored(port: int) -> int:
    found = _ask(port, "/graphql", {"query": "{ projects { edges { node { recordCount } } } }"})
    return sum(edge["node"]["recordCount"] for edge in found["data"]["projects"]["edges"])


MLFLOW = Peer(
    name="mlflow",
    command=lambda port, _: ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port)],
    environment=lambda _port, _folder: {"MLFLOW_DISABLE_TELEMETRY": "true"},
    ready="/health",
    headers={"x-mlflow-experiment-id": "0"},
    stored=_mlflow_stored,
)
PHOENIX = Peer(
    name="arize-phoenix",
    command=lambda _port, _folder: ["phoenix", "serve"],
    environment=lambda port, folder: {
        "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()), "PHOENIX_TELEMETRY_ENABLED": "false",
    },
    ready="/healthz",
    headers={},
    stored=_phoenix_stored,
)  # fmt: skip
