"""What is kept around a run: its environment and code, the machine, its output; and ends that come from outside."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from bench.bar import Running

import gimbal
from gimbal.axis.runs.model import COMMIT_TAG, DIFF_FILE, DIRTY_TAG, ENVIRONMENT_FILE
from gimbal.faces.client.environment import environment, redacted
from gimbal.faces.client.run_system import Machine

PATH = os.environ["PATH"]


def ran(up: Running, code: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = {"GIMBAL_URL": up.url, "PATH": PATH, "GIMBAL_SPOOL": str(folder / "spool"), "HOME": str(folder)}
    script = folder / "train.py"
    script.write_text(code)
    command = [sys.executable, str(script), *words]
    return subprocess.run(
        command,
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def read(client: gimbal.Client, run_id: str, path: str) -> bytes:
    return b"".join(client.runs.artifact(run_id, path))


TRAIN = """
import gimbal
with gimbal.run("around", output=True, system_s=0.05) as run:
    print("epoch 1 of 1")
    while not any(name.startswith("system/") for name in gimbal.Client().runs.show(run.id).metrics):
        run.flush()
import sys
sys.stderr.write(run.id)
"""


def test_a_run_knows_what_it_ran_in(up: Running, client: gimbal.Client, tmp_path: Path) -> None:
    """The commit and what was changed since, packages, hardware, the command without its secrets, output and machine."""
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "model.py").write_text("depth = 3\n")
    git(tmp_path, "add", "model.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "remote", "add", "origin", "https://ada:hunter2@example.com/models.git")
    (tmp_path / "model.py").write_text("depth = 4\n")
    done = ran(up, TRAIN, tmp_path, "--api-key", "hunter2", "--lr=0.1", "--token=hunter2")

    run_id = done.stderr.strip()
    kept = client.runs.show(run_id)
    assert kept.tags == {"git.commit": git(tmp_path, "rev-parse", "HEAD"), "git.branch": "trunk", "git.dirty": "true"}
    told: dict[str, Any] = msgspec.json.decode(read(client, run_id, "environment.json"))
    assert told["command"][1:] == ["--api-key", "…", "--lr=0.1", "--token=…"]
    assert told["code"]["remote"] == "https://example.com/models.git"
    assert told["packages"]["msgspec"] == msgspec.__version__
    assert told["cores"] == os.cpu_count()
    assert told["memory_bytes"] > 0
    diff = read(client, run_id, "code.diff").decode()
    assert "-depth = 3\n+depth = 4" in diff
    assert "hunter2" not in diff + str(told)
    assert read(client, run_id, "output.log") == b"epoch 1 of 1\n"
    assert "epoch 1 of 1" in done.stdout
    assert 0 <= float(kept.metrics["system/memory_percent"]) <= 100
    assert float(kept.metrics["system/process_memory_bytes"]) > 0


def test_the_code_tab_compares_what_runs_kept(up: Running, client: gimbal.Client, tmp_path: Path) -> None:
    """Commits and changes of two runs beside each other; a difference over the limit is cut, and that is said."""
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "model.py").write_text("depth = 3\n")
    git(tmp_path, "add", "model.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    code = 'import gimbal\nwith gimbal.run("code") as run: print(run.id)\n'
    ids: list[str] = []
    for changed in ("depth = 3\n", "depth = 4\n", "x" * (2 << 20) + "\n"):
        (tmp_path / "model.py").write_text(changed)
        ids.append(ran(up, code, tmp_path).stdout.strip())

    clean, small, large = ids
    assert [client.runs.show(one).tags[DIRTY_TAG] for one in ids] == ["false", "true", "true"]
    assert [each.path for each in client.runs.artifacts(clean)] == [ENVIRONMENT_FILE]
    assert len(read(client, large, DIFF_FILE)) == 1 << 20
    told: dict[str, Any] = msgspec.json.decode(read(client, large, ENVIRONMENT_FILE))
    assert told["code"]["diff_cut_at_bytes"] == 1 << 20
    page = httpx.get(f"{up.url}/p/default/runs/compare", params={"runs": [clean, small], "tab": "code"}, timeout=30)
    assert page.status_code == 200
    for said in (COMMIT_TAG, DIRTY_TAG, git(tmp_path, "rev-parse", "HEAD"), DIFF_FILE, "+depth = 4"):
        assert said in page.text, said
    assert "No code was kept" not in page.text


def test_where_there_is_no_git_a_run_goes_on(up: Running, client: gimbal.Client, tmp_path: Path) -> None:
    """No repository: no tags, no difference, everything else."""
    code = 'import gimbal\nwith gimbal.run("plain") as run: print(run.id)\n'
    run_id = ran(up, code, tmp_path).stdout.strip()

    assert client.runs.show(run_id).tags == {}
    assert [each.path for each in client.runs.artifacts(run_id)] == ["environment.json"]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["train.py", "--password", "a b"], ["train.py", "--password", "…"]),
        (["--password", "--lr", "1"], ["--password", "--lr", "1"]),
        (["API_KEY=abc", "x=y"], ["API_KEY=…", "x=y"]),
        (["postgresql://ada:pw@host/db"], ["postgresql://host/db"]),
        (["tokens.txt", "monkey"], ["tokens.txt", "monkey"]),
    ],
)
def test_secrets_of_a_command_line_are_not_kept(words: list[str], kept: list[str]) -> None:
    """Flags and variables by their names, addresses without whom they are for; plain words as they are."""
    assert redacted(words) == kept


def test_looking_around_takes_little_and_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without git, and in a folder that is gone."""
    monkeypatch.setenv("PATH", "")
    assert environment().tags == {}


def test_the_machine_is_measured_in_known_units() -> None:
    """Shares are between 0 and 100, rates are not negative."""
    machine = Machine()
    deadline = time.monotonic() + 30
    while "system/cpu_percent" not in (found := machine.measure()):
        assert time.monotonic() < deadline

    assert 0 <= found["system/cpu_percent"] <= 100
    assert all(value >= 0 for value in found.values())


WAITS = """
import gimbal, sys, threading
with gimbal.run("waits", environment=False) as run:
    run.log({"loss": 1.0})
    print(run.id, flush=True)
    threading.Event().wait()
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "status", "error", "code"),
    [
        (signal.SIGINT, "killed", "KeyboardInterrupt", -signal.SIGINT),
        (signal.SIGTERM, "killed", "SIGTERM", 128 + signal.SIGTERM),
        (signal.SIGKILL, "running", "", -signal.SIGKILL),
    ],
    ids=["Ctrl-C", "told to end", "killed"],
)
def test_a_program_that_is_ended_from_outside(
    up: Running, client: gimbal.Client, number: int, status: str, error: str, code: int
) -> None:
    """What was logged is there; a killed one cannot say so, and is dead when it is not heard of any more."""
    program = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env={"GIMBAL_URL": up.url, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert program.stdout is not None
    run_id = program.stdout.readline().strip()
    until(lambda: client.runs.show(run_id).metrics == {"loss": 1.0})
    program.send_signal(number)

    assert program.wait(30) == code
    kept = client.runs.show(run_id)
    assert (kept.status, kept.error) == (status, error)
