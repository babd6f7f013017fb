"""`gimbal.run`: what is logged arrives, whatever ends the block; what cannot be kept is refused where it is logged."""

import asyncio
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from bench.bar import Running
from tests.links import Cable

import gimbal
from gimbal.faces.client.outbox import PASSING
from gimbal.faces.client.runs import current_run
from gimbal.kernel.errors import BadInput, Conflict, NotReady, TooLarge, Unavailable


def test_a_run_is_there_as_it_was_logged(client: gimbal.Client) -> None:
    """The lines of the README: parameters, metrics by step, and the run has finished."""
    with gimbal.run("first", experiment="sdk", tags={"team": "blue"}, client=client) as run:
        run.log(params={"depth": 3})
        run.log({"auc": 0.79}, step=0)
        run.log({"auc": 0.81}, step=1)

    kept = client.runs.show(run.id)
    assert (kept.name, kept.experiment, kept.status, kept.error) == ("first", "sdk", "finished", "")
    assert (kept.params, kept.tags, kept.metrics) == ({"depth": 3}, {"team": "blue"}, {"auc": 0.81})
    assert [(p.step, p.value) for p in client.runs.metric(run.id, "auc").items] == [(0, 0.79), (1, 0.81)]


def test_what_is_flushed_can_be_seen_while_the_run_goes_on(client: gimbal.Client) -> None:
    """The console shows a run that is under way."""
    with gimbal.run(client=client) as run:
        run.log({"loss": 2.5})
        run.flush()
        kept = client.runs.show(run.id)

    assert (kept.status, kept.metrics) == ("running", {"loss": 2.5})
    assert kept.name.startswith("run 20"), "a run without a name gets one from the time"


PROMPT = {"messages": [{"role": "user", "content": "Hi"}], "model": "local/extractive"}


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


def test_runs_nest(client: gimbal.Client) -> None:
    """`gimbal.log` means the innermost run, and after it the outer one again."""
    with gimbal.run("outer", client=client) as outer:
        with gimbal.run("inner", client=client) as inner:
            gimbal.log({"depth": 2})
            assert current_run() is inner
        gimbal.log({"depth": 1}, params={"a": 1}, tags={"t": "x"})
    assert current_run() is None

    assert client.runs.show(inner.id).metrics == {"depth": 2.0}
    kept = client.runs.show(outer.id)
    assert (kept.metrics, kept.params, kept.tags) == ({"depth": 1.0}, {"a": 1}, {"t": "x"})


def test_log_without_a_run_says_where_it_belongs() -> None:
    """Also in a thread, which does not inherit the run."""
    with pytest.raises(NotReady, match=r"There is no run here.*run\.log"):
        gimbal.log({"x": 1})


def test_threads_log_into_one_run(client: gimbal.Client) -> None:
    """Every point of every thread is there."""
    with gimbal.run("threads", client=client) as run, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: run.log({f"worker/{i % 8}": i}, step=i), range(400)))

    counts = [len(client.runs.metric(run.id, f"worker/{i}").items) for i in range(8)]
    assert counts == [50] * 8


async def test_tasks_log_into_runs_of_their_own(client: gimbal.Client) -> None:
    """Two tasks at once, each inside its own run."""

    async def train(name: str) -> str:
        with gimbal.run(name, client=client) as run:
            for step in range(5):
                gimbal.log({"name": len(name)}, step=step)
                await asyncio.sleep(0)
        return run.id

    ids = await asyncio.gather(train("a"), train("bb"), train("ccc"))

    assert [client.runs.show(i).metrics for i in ids] == [{"name": 1.0}, {"name": 2.0}, {"name": 3.0}]


def test_many_points_are_sent_in_few_requests_and_none_is_lost(client: gimbal.Client) -> None:
    """A call per point and call does not wait for the network: 10,000 calls are a handful of requests."""
    with gimbal.run("many", client=client) as run:
        for step in range(10_000):
            run.log({"loss": 1 / (step + 1)}, step=step)

    assert client.runs.show(run.id).metrics == {"loss": 1 / 10_000}
    steps = [point.step for point in client.every(client.runs.metric, run.id, "loss", limit=1000)]
    assert steps == list(range(10_000))


def test_numbers_of_every_kind_are_metrics(client: gimbal.Client) -> None:
    """What blew up is a finding: NaN and infinity are kept as such."""
    values = {
        "int": 3,
        "bool": True,
        "decimal": Decimal("0.25"),
        "np32": np.float32(0.5),
        "np64": np.float64(0.75),
        "npint": np.int64(7),
        "zero-d": np.array(1.5),
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
    }
    with gimbal.run("kinds", client=client) as run:
        run.log(values, step=np.int64(4))  # type: ignore[arg-type]

    assert client.runs.show(run.id).metrics == {
        "int": 3.0,
        "bool": 1.0,
        "decimal": 0.25,
        "np32": 0.5,
        "np64": 0.75,
        "npint": 7.0,
        "zero-d": 1.5,
        "nan": "NaN",
        "inf": "Infinity",
        "-inf": "-Infinity",
    }
    assert client.runs.metric(run.id, "np64").items[0].step == 4


def test_parameters_of_every_kind_are_kept_as_what_they_are(client: gimbal.Client) -> None:
    """NumPy's numbers are numbers, NaN is not null, keys are texts, what has no JSON form is its text."""
    params = {
        "np": np.float64(0.1),
        "array": np.array([1, 2]),
        "nan": math.nan,
        "nested": {1: {"deep": (np.int64(1), None, {2})}},
        "path": Path("a/b"),
        "large": 2**70,
        "text": "ä\ud800",
        7: "seven",
    }
    with gimbal.run("params", params={"lr": np.float32(0.5)}, client=client) as run:
        run.log(params=params)  # type: ignore[arg-type]

    assert client.runs.show(run.id).params == {
        "lr": 0.5,
        "np": 0.1,
        "array": [1, 2],
        "nan": "NaN",
        "nested": {"1": {"deep": [1, None, [2]]}},
        "path": "a/b",
        "large": str(2**70),
        "text": "ä\\ud800",
        "7": "seven",
    }


def holds_itself() -> dict[str, object]:
    made: dict[str, object] = {}
    made["self"] = made
    return made


@pytest.mark.parametrize(
    ("given", "error", "where"),
    [
        ({"metrics": {"auc": None}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": "0.8"}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": 1j}}, BadInput, "metrics.auc"),
        ({"metrics": {"auc": [1.0, 2.0]}}, BadInput, "metrics.auc"),
        ({"metrics": {1: 0.8}}, BadInput, "metrics.1"),
        ({"metrics": {"": 0.8}}, BadInput, "metrics."),
        ({"metrics": {"x" * 251: 0.8}}, BadInput, "metrics.xxx"),
        ({"metrics": {"auc": 0.8}, "step": 1.5}, BadInput, "step"),
        ({"metrics": {"auc": 0.8}, "step": 2**62 + 1}, BadInput, "step"),
        ({"params": {"big": "x" * 16_400}}, TooLarge, "params.big"),
        ({"params": {"loop": holds_itself()}}, BadInput, "params.loop"),
        ({"params": {"p": 2}}, Conflict, "params.p"),
        ({"tags": {"note": "x" * 16_400}}, TooLarge, "tags.note"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_logged(
    client: gimbal.Client, given: dict[str, object], error: type[gimbal.GimbalError], where: str
) -> None:
    """The error comes from the call itself, names the place, and takes nothing else with it."""
    with gimbal.run("refused", params={"p": 1}, client=client) as run:
        with pytest.raises(error) as caught:
            run.log(**{"metrics": {"fine": 1}, "tags": {"fine": "yes"}, **given})  # type: ignore[arg-type]
        run.log({"after": 2.0})

    assert caught.value.where.startswith(where)
    assert caught.value.kept.startswith("nothing")
    kept = client.runs.show(run.id)
    assert (kept.status, kept.params, kept.tags, kept.metrics) == ("finished", {"p": 1}, {}, {"after": 2.0})


def test_what_the_server_refuses_is_raised_and_takes_nothing_else_with_it(client: gimbal.Client) -> None:
    """Another writer of the run set the parameter: the points of the same request are stored all the same."""
    run = gimbal.run("two writers", client=client)
    client.runs.log(run.id, params={"p": 1})
    run.log({"loss": 0.5}, params={"p": 2, "q": 3})

    with pytest.raises(Conflict) as caught:
        run.finish()

    assert caught.value.where == "params.p"
    assert caught.value.kept == "everything that was logged but p"
    kept = client.runs.show(run.id)
    assert (kept.status, kept.params, kept.metrics) == ("finished", {"p": 1, "q": 3}, {"loss": 0.5})


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


def test_inputs_and_files_belong_to_the_run(client: gimbal.Client, tmp_path: Path) -> None:
    """A dataset is noted as resolved; text, bytes and a file come back as they were, with their kind."""
    version = client.assets.add("prompt:sdk/inputs", manifest=PROMPT)
    picture = tmp_path / "roc.png"
    picture.write_bytes(bytes(range(256)) * 8)
    with gimbal.run("files", inputs=["prompt:sdk/inputs@v1"], client=client) as run:
        assert run.use("prompt:sdk/inputs") == [f"prompt:sdk/inputs@v{version.number}"]
        run.artifact("notes/readme.txt", "Grüße")
        run.artifact("raw", b"\x00\x01")
        put = run.artifact("plots/roc.png", picture)

    assert put.media_type == "image/png"
    assert {a.path: a.size for a in client.runs.artifacts(run.id)} == {
        "notes/readme.txt": 7,
        "plots/roc.png": 2048,
        "raw": 2,
    }
    assert b"".join(client.runs.artifact(run.id, "notes/readme.txt")).decode() == "Grüße"
    assert b"".join(client.runs.artifact(run.id, "plots/roc.png")) == picture.read_bytes()
    assert [str(ref) for ref in client.runs.show(run.id).inputs] == ["prompt:sdk/inputs@v1"]
    with pytest.raises(gimbal.GimbalError, match="There is no prompt:sdk/nothing"):
        gimbal.run("never", inputs=["prompt:sdk/nothing"], client=client)


def until_done(finish: Callable[[], None]) -> None:
    """Call it again while it says that the server has not answered yet."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return finish()
        except PASSING:
            assert time.monotonic() < deadline


@pytest.fixture
def cable(up: Running) -> Iterator[Cable]:
    """Lead to the server by a cable."""
    made = Cable(up.url)
    yield made
    made.pull()


def test_an_outage_costs_nothing_when_the_server_comes_back(cable: Cable, client: gimbal.Client) -> None:
    """Logging goes on while the server is away, without an error and without waiting; then everything arrives once."""
    with gimbal.Client(cable.url, patience=0.2) as far:
        run = gimbal.run("outage", client=far)
        run.log({"loss": 0.0}, step=0)
        until_done(run.flush)
        cable.pull()
        for step in range(1, 500):
            run.log({"loss": float(step)}, step=step)
        with pytest.raises(Unavailable, match="Nothing could be sent"):
            run.flush()
        cable.plug()
        until_done(run.finish)
        steps = [p.step for p in client.runs.metric(run.id, "loss").items]

    assert steps == list(range(500))
    assert client.runs.show(run.id).status == "finished"


def test_a_server_that_stays_away_is_named_with_what_waits(cable: Cable, client: gimbal.Client) -> None:
    """The end of the block says what was kept and what waits; once the server is back the run can be ended."""
    far = gimbal.Client(cable.url, patience=0.3)
    with pytest.raises(Unavailable) as caught, gimbal.run("away", client=far) as run:  # noqa: PT012 - the block is what is tested
        run.log({"loss": 1.0})
        until_done(run.flush)
        cable.pull()
        run.log({"loss": 0.5, "auc": 0.7}, step=1, params={"p": 1})

    assert f"Gimbal does not answer at {cable.url}" in caught.value.message
    assert "2 metric points, 1 parameters wait in this process" in caught.value.kept
    assert "gimbal up" in caught.value.todo
    assert client.runs.show(run.id).status == "running"

    cable.plug()
    until_done(run.finish)
    kept = client.runs.show(run.id)
    assert (kept.status, kept.metrics, kept.params) == ("finished", {"loss": 0.5, "auc": 0.7}, {"p": 1})
    far.close()


def test_a_server_that_is_away_does_not_hide_the_error_of_the_block(cable: Cable, client: gimbal.Client) -> None:
    """The user's own error is raised, with a note about the run."""
    far = gimbal.Client(cable.url, patience=0.2)
    with pytest.raises(Whatever, match="mine") as caught, gimbal.run("hidden", client=far) as run:  # noqa: PT012 - the block is what is tested
        cable.pull()
        raise Whatever("mine")

    (note,) = caught.value.__notes__
    assert run.id in note
    assert "does not answer" in note
    cable.plug()
    until_done(lambda: run.finish("failed"))
    assert client.runs.show(run.id).status == "failed"
    far.close()


def test_a_full_queue_waits_and_then_says_so(cable: Cable) -> None:
    """What waits is bounded: the call that does not fit raises, and what was logged before it still waits."""
    far = gimbal.Client(cable.url, patience=0.2)
    run = gimbal.run("full", client=far)
    cable.pull()
    points = {f"m{i}": 1.0 for i in range(1000)}
    with pytest.raises(gimbal.GimbalError) as caught:  # noqa: PT012 - which call it is depends on the network
        for step in range(200):
            run.log(points, step=step)

    assert caught.value.code == "busy"
    assert "it waits in this process" in caught.value.kept
    cable.plug()
    until_done(run.finish)
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


def test_logging_does_not_wait_for_a_slow_server(cable: Cable) -> None:
    """A thousand calls return while not one request can be answered."""
    far = gimbal.Client(cable.url, patience=10)
    run = gimbal.run("slow", client=far)
    cable.pull()
    logged = threading.Event()

    def work() -> None:
        for step in range(1000):
            run.log({"x": 1.0}, step=step)
        logged.set()

    threading.Thread(target=work, daemon=True).start()
    assert logged.wait(5)
    cable.plug()
    until_done(run.finish)
    far.close()
