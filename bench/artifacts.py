"""Files of 2 GB to a run and back: beside a plain copy of the same file on the same disk, and in how much memory.

A copy is `cp` and a sync of what it wrote; a download is synced as well. The senders are Python's own HTTP client, and
MLflow's where `bench.peers` has installed it. `GIMBAL_BENCH_FILE_MB` makes the file smaller.
"""

import hashlib
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.bar import Figure, gimbal_up

MIB = 1 << 20
FILE_MB = int(os.environ.get("GIMBAL_BENCH_FILE_MB", "2048"))
TIMES = 3
MOST_GROWTH_MB = 64
_SETTLE_S = 5
_MLFLOW = Path(__file__).resolve().parents[1] / ".bench" / "mlflow" / "bin" / "python"
# One time each way by MLflow's client, printed: the start of its process is not in it.
_SCRIPT = """
import os, sys, time
from mlflow.tracking import MlflowClient
from mlflow.artifacts import download_artifacts
source, folder = sys.argv[1:]
client = MlflowClient()
run = client.create_run("0").info.run_id
client.log_text(run, "first", "first.txt")
begun = time.perf_counter()
client.log_artifact(run, source)
put = time.perf_counter() - begun
begun = time.perf_counter()
path = download_artifacts(run_id=run, artifact_path=os.path.basename(source), dst_path=folder)
with open(path, "rb") as file:
    os.fsync(file.fileno())
print(put, time.perf_counter() - begun)
"""


def figures() -> Iterator[Figure]:
    """Copy, send and get a file in turns, and watch the server meanwhile."""
    with tempfile.TemporaryDirectory(prefix="gimbal-bench-", dir=Path.cwd()) as folder, gimbal_up() as running:
        source, target = Path(folder) / "source.bin", Path(folder) / "target.bin"
        _fill(source)
        port = int(running.url.rpartition(":")[2])
        server = max(psutil.Process(running.process.pid).children(), key=lambda one: one.memory_info().rss)
        call = urllib.request.Request(f"{running.url}/api/v1/projects/default/runs", b"{}", method="POST")
        call.add_header("content-type", "application/json")
        with urllib.request.urlopen(call) as reply:
            path = f"/api/v1/projects/default/runs/{json.load(reply)['id']}/artifacts/file-"
        before, memory = server.memory_info().rss, _Watch(server)
        copies, puts, gets = list[float](), list[float](), list[float]()
        theirs: list[tuple[float, float]] = []
        for turn in range(TIMES + 1):
            _change(source, turn)
            target.unlink(missing_ok=True)
            copies.append(_timed(lambda: _copy(source, target)))
            puts.append(_timed(lambda name=f"{path}{turn}": _put(port, name, source)))
            target.unlink(missing_ok=True)
            gets.append(_timed(lambda name=f"{path}{turn}": _get(port, name, target)))
            if _MLFLOW.exists():
                _change(source, -1 - turn)
                target.unlink(missing_ok=True)
                _settle()
                theirs.append(_by_mlflow(running.url, source, folder))
        growth = (memory.most() - before) / MIB
    # The first turn is not counted: files that were never written are slow on many disks.
    copy = statistics.median(copies[1:])
    print(f"      a copy of {FILE_MB:,} MB takes {copy:.2f} s, {FILE_MB / copy:,.0f} MB/s")
    for what, times in (("upload", puts), ("download", gets)):
        yield _figure(what, times, copy)
    if theirs:
        yield _figure("upload by MLflow's client", [one for one, _ in theirs], copy)
        yield _figure("download by MLflow's client", [one for _, one in theirs], copy)
    yield Figure("server RSS growth meanwhile", growth, "MB", MOST_GROWTH_MB, f"{MOST_GROWTH_MB} MB")


def _figure(what: str, times: list[float], copy: float) -> Figure:
    return Figure(f"{what}, {FILE_MB:,} MB", statistics.median(times[1:]), "s", 1.3 * copy, "1.3 copies")


class _Watch:
    """Looks at the memory of a process all the while."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._most, self._done = process, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self._most = max(self._most, self._process.memory_info().rss)

    def most(self) -> int:
        self._done.set()
        self._thread.join()
        return self._most


def _timed(act: Callable[[], None]) -> float:
    _settle()
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _settle() -> None:
    """Let all begin alike: nothing is on its way to the disk, and no memory is at hand that was just given back.

    A virtual machine gives free memory back to its host after two seconds, and whoever takes it anew waits for that,
    longer than for the bytes: a copy right behind the end of another would be the only one that does not.
    """
    os.sync()
    time.sleep(_SETTLE_S)


def _fill(path: Path) -> None:
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(FILE_MB):
            file.write(hashlib.sha256(str(number).encode()).digest() + block[32:])
        file.flush()
        os.fsync(file.fileno())


def _change(path: Path, number: int) -> None:
    """Make it a file that is not there yet."""
    with path.open("r+b") as file:
        file.write(number.to_bytes(8, "big", signed=True))
        file.flush()
        os.fsync(file.fileno())


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", str(source), str(target)], check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _put(port: int, path: str, source: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600, blocksize=MIB)
    with source.open("rb") as file:
        connection.request("PUT", path, file, {"content-length": str(source.stat().st_size)})
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        reply.read()
    connection.close()


def _get(port: int, path: str, target: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    buffer = bytearray(MIB)
    with target.open("wb", buffering=0) as file:
        while count := reply.readinto(buffer):
            file.write(memoryview(buffer)[:count])
        os.fsync(file.fileno())
    connection.close()


def _by_mlflow(url: str, source: Path, folder: str) -> tuple[float, float]:
    told = os.environ | {"MLFLOW_TRACKING_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    back = Path(folder) / "back"
    back.mkdir(exist_ok=True)
    command = [str(_MLFLOW), "-c", _SCRIPT, str(source), str(back)]
    said = subprocess.run(command, env=told, check=True, capture_output=True, text=True).stdout.split()
    for path in back.iterdir():
        path.unlink()
    return float(said[-2]), float(said[-1])
