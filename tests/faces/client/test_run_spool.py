"""Runs on disk: started, logged and ended while the server is away, killed in between, and there once in the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.bar import Running
from tests.faces.client.conftest import until_done
from tests.links import Cable

import gimbal
from gimbal.faces.client.run_sync import sync
from gimbal.kernel.errors import Unavailable

# Logs and ends a run; with a word more it goes on logging until it is killed.
PROGRAM = """
import gimbal, itertools, sys, time
with gimbal.run("offline", params={"lr": 0.1}, environment=False, system_s=0) as run:
    for step in range(100):
        run.log({"loss": 1 / (step + 1), "blown": float("nan")}, step=step, tags={"at": str(step)})
    run.text("sample", "Grüße", step=3)
    print(run.id, flush=True)
    for step in itertools.count(100) if len(sys.argv) > 1 else []:
        run.log({"loss": 0.0}, step=step)
        time.sleep(0.001)
"""


def started(url: str, spool: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {"GIMBAL_URL": url, "GIMBAL_SPOOL": str(spool), "PATH": ""}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*.runs"))


def steps(client: gimbal.Client, run_id: str) -> list[int]:
    return [point.step for point in client.every(client.runs.metric, run_id, "loss", limit=1000)]


def test_a_run_that_never_met_the_server_is_sent_later(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """Its program ends well and says what waits; then everything is there once, and nothing waits any more."""
    cable.pull()
    program = started(cable.url, spool)
    said, warned = program.communicate(timeout=60)

    assert program.returncode == 0, warned
    assert "is kept on disk until it does" in warned
    assert "gimbal runs sync" in warned
    assert files(spool)
    cable.plug()
    with gimbal.Client(cable.url) as near:
        sent, refused = sync(near)
        assert (sent > 0, refused) == (True, [])
        assert sync(near) == (0, [])
    kept = client.runs.show(said.strip())
    assert (kept.name, kept.status, kept.params, kept.tags) == ("offline", "finished", {"lr": 0.1}, {"at": "99"})
    assert kept.metrics == {"loss": 0.01, "blown": "NaN"}
    assert steps(client, kept.id) == list(range(100))
    assert b"".join(client.runs.artifact(kept.id, "media/sample/3.txt")).decode() == "Grüße"
    assert kept.ended_at is not None
    assert kept.started_at < kept.ended_at
    assert files(spool) == []


def test_the_next_program_sends_what_a_killed_one_left(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """Killed in the middle: what was on disk arrives in order, and the run can be ended by hand."""
    cable.pull()
    program = started(cable.url, spool, "on")
    assert program.stdout is not None
    run_id = program.stdout.readline().strip()
    until(lambda: len(files(spool)) >= 3)
    os.kill(program.pid, signal.SIGKILL)
    program.communicate()
    cable.plug()
    with gimbal.Client(cable.url, patience=5) as near:
        run = gimbal.run("next", environment=False, client=near)
        run.log({"x": 1.0})
        until(lambda: files(spool) == [])
        until_done(run.finish)

    kept = steps(client, run_id)
    assert kept == list(range(len(kept)))
    assert len(kept) > 100
    assert client.runs.show(run_id).status == "running"


def test_what_is_sent_again_is_there_once(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """A sender that was killed before it could remove a file sends it again, and nothing changes."""
    cable.pull()
    said, _ = started(cable.url, spool).communicate(timeout=60)
    copies = {path: path.read_bytes() for path in files(spool)}
    cable.plug()
    with gimbal.Client(cable.url) as near:
        sync(near)
        before = client.runs.show(said.strip())
        for path, content in copies.items():
            path.write_bytes(content)
        assert sync(near)[1] == []

    after = client.runs.show(said.strip())
    assert (after.params, after.tags, after.metrics, after.status) == (
        before.params,
        before.tags,
        before.metrics,
        "finished",
    )
    assert steps(client, before.id) == list(range(100))


def test_an_outage_in_the_middle_keeps_the_order(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """Tags that change before, during and after an outage end as they were set last; the files go away by themselves."""
    with gimbal.Client(cable.url, patience=10) as far:
        run = gimbal.run("order", environment=False, client=far)
        run.log({"loss": 0.0}, step=0, tags={"at": "before"})
        until_done(run.flush)
        cable.pull()
        run.log({"loss": 1.0}, step=1, tags={"at": "during"})
        until(lambda: len(files(spool)) == 1)
        run.log({"loss": 2.0}, step=2, tags={"at": "later"})
        cable.plug()
        run.log({"loss": 3.0}, step=3, tags={"at": "last"})
        until_done(run.finish)

    assert steps(client, run.id) == [0, 1, 2, 3]
    assert client.runs.show(run.id).tags == {"at": "last"}
    assert files(spool) == []


def test_a_part_of_a_run_waits_with_it(cable: Cable, client: gimbal.Client) -> None:
    """Both start while the server is away: the outer one arrives before the inner one, which names it."""
    cable.pull()
    far = gimbal.Client(cable.url, patience=0.2)
    with (
        gimbal.run("outer", environment=False, client=far) as outer,
        gimbal.run("inner", environment=False, client=far) as inner,
    ):
        gimbal.log({"loss": 1.0})
    cable.plug()
    until_done(inner.flush)

    kept = client.runs.show(inner.id)
    assert (kept.parent_id, kept.status, kept.metrics) == (outer.id, "finished", {"loss": 1.0})
    far.close()


def test_what_the_server_refuses_of_a_file_takes_nothing_else_with_it(
    cable: Cable, client: gimbal.Client, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else set the parameter meanwhile: it is told, the file is set aside, everything else is stored."""
    far = gimbal.Client(cable.url, patience=0.2)
    run = gimbal.run("refused", environment=False, client=far)
    until_done(run.flush)
    cable.pull()
    run.log({"loss": 1.0}, params={"p": 2, "q": 3})
    run.finish()
    client.runs.log(run.id, params={"p": 1})
    cable.plug()
    with pytest.raises(gimbal.GimbalError, match="'p' is 1 already"):
        until_done(run.flush)

    kept = client.runs.show(run.id)
    assert (kept.status, kept.params, kept.metrics) == ("finished", {"p": 1, "q": 3}, {"loss": 1.0})
    assert len(list(spool.glob("*/*.refused"))) == 1
    assert "set aside" in caplog.text
    far.close()


def test_without_a_disk_a_run_does_not_start_unheard(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be kept, the start of the run says that the server is away."""
    monkeypatch.setenv("GIMBAL_SPOOL_BYTES", "0")
    cable.pull()
    with gimbal.Client(cable.url, patience=0.2) as far, pytest.raises(Unavailable):
        gimbal.run("nowhere", client=far)


def test_gimbal_runs_sync(cable: Cable, client: gimbal.Client, spool: Path, up: Running) -> None:
    """The command sends what waits and says how much."""
    cable.pull()
    said, _ = started(cable.url, spool).communicate(timeout=60)
    cable.plug()
    command = [sys.executable, "-m", "gimbal.faces.cli.main", "runs", "sync"]
    environment = {"GIMBAL_URL": cable.url, "GIMBAL_SPOOL": str(spool)}
    done = [
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
        for _ in range(2)
    ]

    assert done[0].endswith("requests sent\n")
    assert done[1] == "Nothing waits.\n"
    assert client.runs.show(said.strip()).status == "finished"
