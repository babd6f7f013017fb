"""How a run ends: as its block did, by hand, or with its program; the server's absence hides no error of the block."""

import asyncio
import subprocess
import sys

import pytest
from bench.bar import Running
from tests.faces.client.conftest import until_done
from tests.links import Cable

import gimbal
from gimbal.kernel.errors import BadInput, NotReady


class Whatever(RuntimeError):
    """Something of a user's own."""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (Whatever("nan loss"), "failed", "Whatever: nan loss"),
        (KeyboardInterrupt(), "killed", "KeyboardInterrupt"),
        (asyncio.CancelledError(), "killed", "CancelledError"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit(0), "finished", ""),
    ],
)
def test_the_run_ends_as_the_block_did(client: gimbal.Client, error: BaseException, status: str, said: str) -> None:
    """The block's own error goes on as it was; what was logged before it is kept."""
    with pytest.raises(type(error)) as caught, gimbal.run("ends", client=client) as run:  # noqa: PT012 - the block is what is tested
        run.log({"x": 1.5}, params={"p": 1})
        raise error

    kept = client.runs.show(run.id)
    assert caught.value is error
    assert (kept.status, kept.error) == (status, said)
    assert (kept.metrics, kept.params) == ({"x": 1.5}, {"p": 1})


def test_an_error_longer_than_may_be_kept_is_cut(client: gimbal.Client) -> None:
    """A traceback in a message, or characters that no encoding knows, do not keep a run from ending."""
    with pytest.raises(Whatever), gimbal.run("long", client=client) as run:
        raise Whatever("\ud800" + "x" * 50_000)

    kept = client.runs.show(run.id)
    assert kept.status == "failed"
    assert kept.error.startswith("Whatever: \\ud800xxx")
    assert len(kept.error) == 10_000


def test_a_run_without_a_block_is_finished_by_hand(client: gimbal.Client) -> None:
    """As notebooks do; ending it twice changes nothing, and afterwards nothing can be logged."""
    run = gimbal.run("by hand", client=client)
    run.log({"x": 1})
    run.finish("failed", "looked wrong")
    run.finish()

    with pytest.raises(NotReady, match="The run has ended"):
        run.log({"x": 2})
    with pytest.raises(BadInput, match="'done' is not an end"):
        run.finish("done")  # type: ignore[arg-type]
    kept = client.runs.show(run.id)
    assert (kept.status, kept.error, kept.metrics) == ("failed", "looked wrong", {"x": 1.0})


def test_a_server_that_is_away_does_not_hide_the_error_of_the_block(cable: Cable, client: gimbal.Client) -> None:
    """The user's own error is raised, and how the run ended is told when the server is back."""
    far = gimbal.Client(cable.url, patience=0.2)
    with pytest.raises(Whatever, match="mine") as caught, gimbal.run("hidden", client=far) as run:  # noqa: PT012 - the block is what is tested
        cable.pull()
        raise Whatever("mine")

    assert not hasattr(caught.value, "__notes__")
    cable.plug()
    until_done(run.flush)
    kept = client.runs.show(run.id)
    assert (kept.status, kept.error) == ("failed", "Whatever: mine")
    far.close()


PROGRAM = """
import gimbal, os, sys
run = gimbal.run("script")
run.log({"x": 1.0}, params={"p": 1})
print(run.id, flush=True)
"""


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("", "killed", "The program ended without ending the run."),
        ("raise ValueError('broke')", "failed", "ValueError: broke"),
        ("run.finish()", "finished", ""),
        ("""
pid = os.fork()
if pid == 0:
    try:
        run.log({"x": 2.0})
    except gimbal.GimbalError as problem:
        sys.exit(0 if problem.code == "not_ready" else 5)
    sys.exit(6)
assert os.waitpid(pid, 0)[1] == 0
run.finish()
""", "finished", ""),
    ],
    ids=["left open", "raised", "finished", "forked"],
)  # fmt: skip
def test_a_program_that_ends_leaves_no_run_open(
    up: Running, client: gimbal.Client, end: str, status: str, error: str
) -> None:
    """Without a block: what was logged arrives and the run has an end that tells what happened; a child ends nothing."""
    environment = {"GIMBAL_URL": up.url, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + end], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    kept = client.runs.show(done.stdout.split()[0])
    assert done.returncode == (1 if end.startswith("raise") else 0), done.stderr
    assert (kept.status, kept.error) == (status, error)
    assert (kept.metrics, kept.params) == ({"x": 1.0}, {"p": 1})
