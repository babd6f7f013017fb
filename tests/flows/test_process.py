"""Process care: one installation per folder, plain words at start, crashed children restarted, none left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from bench.bar import answers, free_port

DEADLINE_S = 30.0


def wait_for(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, message


def command(folder: Path, port: int, *more: str) -> list[str]:
    words = ["up", "--data", str(folder), "--port", str(port), "--grpc-port", "0", *more]
    return [sys.executable, "-m", "gimbal.faces.cli.main", *words]


class Up:
    """An installation as `gimbal up` makes it."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.parent / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command(folder, self.port, *more), stdout=log, stderr=log)
        wait_for(lambda: answers(self.url) or self.process.poll() is not None, "it did not come up")
        assert self.process.poll() is None, self.log.read_text()
        wait_for(lambda: len(self.children()) >= 3, "not every child was started")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def pid_of(self, role: str) -> int | None:
        for process in self.children():
            try:
                if process.cmdline()[-1:] == [role]:
                    return process.pid
            except (psutil.ZombieProcess, psutil.NoSuchProcess):
                continue
        return None


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start an installation and stop it as a person would."""
    running = Up(tmp_path / "data")
    yield running
    running.process.terminate()
    running.process.wait(30)


def refused(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False, cwd=folder)


def test_a_second_instance_is_refused_by_name(up: Up, tmp_path: Path) -> None:
    """The message names the process that holds the folder, and nothing is touched."""
    done = refused(command(up.folder, free_port()), tmp_path)

    assert done.returncode == 1
    assert "data_folder_locked" in done.stderr
    assert str(up.process.pid) in done.stderr
    assert answers(up.url)


def test_a_port_in_use_is_named(up: Up, tmp_path: Path) -> None:
    """Another folder on the same port is refused with the flag that helps."""
    done = refused(command(tmp_path / "other", up.port), tmp_path)

    assert done.returncode == 1
    assert "port_in_use" in done.stderr
    assert "--port" in done.stderr


def test_a_corrupt_settings_file_is_named(tmp_path: Path) -> None:
    """The file and the line are in the message."""
    (tmp_path / "gimbal.toml").write_text("[server]\nport = = 1\n")
    done = refused(command(tmp_path / "data", free_port()), tmp_path)

    assert done.returncode == 1
    assert "corrupt_settings" in done.stderr
    assert "line 2" in done.stderr


def test_it_does_not_listen_elsewhere_without_a_credential(tmp_path: Path) -> None:
    """Off loopback there must be an admin key first."""
    words = command(tmp_path / "data", free_port(), "--host", "0.0.0.0")
    done = refused(words, tmp_path)

    assert done.returncode == 1
    assert "without a credential" in done.stderr


@pytest.mark.parametrize("role", ["server", "worker", "model"])
def test_a_killed_child_comes_back(up: Up, role: str) -> None:
    """The supervisor starts again what crashed."""
    wait_for(lambda: up.pid_of(role) is not None, f"no {role}")
    old = up.pid_of(role)
    assert old is not None
    os.kill(old, signal.SIGKILL)

    wait_for(lambda: up.pid_of(role) not in {None, old}, f"no new {role}")
    wait_for(lambda: answers(up.url), "it is not ready again")


def test_a_killed_supervisor_leaves_nobody_behind(tmp_path: Path) -> None:
    """Children notice that the other end of their pipe is gone."""
    running = Up(tmp_path / "data")
    family = psutil.Process(running.process.pid).children(recursive=True)
    running.process.kill()
    running.process.wait(10)

    _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)
    assert alive == []


def test_sigterm_stops_in_order_and_keeps_everything(tmp_path: Path) -> None:
    """What was acknowledged before a stop is there after the next start, and the exit code says that all is well."""
    first = Up(tmp_path / "data")
    made = httpx.post(f"{first.url}/api/v1/projects/default/runs", json={"name": "kept"}).raise_for_status().json()
    point = {"metrics": [{"name": "auc", "value": 0.5, "step": 1}]}
    httpx.post(f"{first.url}/api/v1/projects/default/runs/{made['id']}/log", json=point).raise_for_status()
    first.process.terminate()
    assert first.process.wait(30) == 0
    second = Up(tmp_path / "data")
    kept = httpx.get(f"{second.url}/api/v1/projects/default/runs/{made['id']}").raise_for_status().json()
    second.process.terminate()
    second.process.wait(30)

    assert kept["metrics"] == {"auc": 0.5}


def test_logs_are_json_lines_on_request(tmp_path: Path) -> None:
    """Every line of standard error is one JSON object."""
    import msgspec

    running = Up(tmp_path / "data", "--log-format", "json")
    worker = running.pid_of("worker")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: "worker process ended" in running.log.read_text(), "the crash was not logged")
    running.process.terminate()
    running.process.wait(30)
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]

    assert lines
    assert all({"at", "level", "message", "process"} <= msgspec.json.decode(line).keys() for line in lines)
