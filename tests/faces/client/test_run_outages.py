"""A server that is slow or away: logging goes on, everything arrives once, and what still waits is told."""

import threading

import pytest
from tests.faces.client.conftest import until_done
from tests.links import Cable

import gimbal
from gimbal.kernel.errors import Unavailable


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


def test_a_server_that_stays_away_is_named_with_what_waits(
    cable: Cable, client: gimbal.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no disk for it, the end of the block says what waits; once the server is back the run can be ended."""
    monkeypatch.setenv("GIMBAL_SPOOL_BYTES", "0")
    far = gimbal.Client(cable.url, patience=0.3)
    with pytest.raises(Unavailable) as caught, gimbal.run("away", environment=False, client=far) as run:  # noqa: PT012 - the block is what is tested
        run.log({"loss": 1.0})
        until_done(run.flush)
        cable.pull()
        run.log({"loss": 0.5, "auc": 0.7}, step=1, params={"p": 1})

    assert f"Gimbal does not answer at {cable.url}" in caught.value.message
    assert "2 metric points, 1 parameters, 1 ends wait in this process" in caught.value.kept
    assert "gimbal up" in caught.value.todo
    assert client.runs.show(run.id).status == "running"

    cable.plug()
    until_done(run.finish)
    kept = client.runs.show(run.id)
    assert (kept.status, kept.metrics, kept.params) == ("finished", {"loss": 0.5, "auc": 0.7}, {"p": 1})
    far.close()


def test_a_full_queue_drops_and_says_so(
    cable: Cable, client: gimbal.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits is bounded: without a disk, what does not fit is counted and told, and the program does not wait for it."""
    monkeypatch.setenv("GIMBAL_SPOOL_BYTES", "0")
    monkeypatch.setattr("gimbal.faces.client.run_courier.MOST_WAITING_BYTES", 100_000)
    far = gimbal.Client(cable.url, patience=0.2)
    run = gimbal.run("full", environment=False, client=far)
    until_done(run.flush)
    cable.pull()
    for step in range(5_000):
        run.log({"loss": 1.0}, step=step)

    assert "calls that logged into runs were dropped" in caplog.text
    cable.plug()
    until_done(run.finish)
    kept = [point.step for point in client.every(client.runs.metric, run.id, "loss", limit=1000)]
    assert 1_000 < len(kept) < 5_000
    assert kept == list(range(len(kept)))
    far.close()


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
