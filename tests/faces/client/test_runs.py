"""`gimbal.run`: what is logged arrives, from the innermost run, from threads and from tasks."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import gimbal
from gimbal.faces.client.runs import current_run
from gimbal.kernel.errors import NotReady


def test_a_run_is_there_as_it_was_logged(client: gimbal.Client) -> None:
    """The lines of the README: parameters, metrics by step, and the run has finished."""
    with gimbal.run("first", experiment="sdk", tags={"team": "blue"}, environment=False, client=client) as run:
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


def test_a_run_draws_itself_while_it_runs_and_afterwards(client: gimbal.Client, tmp_path: Path) -> None:
    """What was logged a moment ago is in the chart; other runs stand beside it; notebooks show it."""
    with gimbal.run("first", environment=False, client=client) as first:
        for step in range(10):
            first.log({"loss": 1 / (step + 1)}, step=step)
        assert "Infinity" not in str(first.plot("loss").spec)
        assert len(first.plot("loss").spec["data"]["values"]) == 10
    with gimbal.run("second", environment=False, client=client) as second:
        second.log({"loss": 0.5})

    chart = first.plot("loss", [second.id], log="y", theme="dark")
    assert len(chart.spec["data"]["values"]) == 11
    assert chart.save(tmp_path / "loss.svg").read_text().startswith("<svg")
    assert {"image/svg+xml", "application/vnd.vegalite.v6+json"} == set(chart._repr_mimebundle_())


def test_runs_nest(client: gimbal.Client) -> None:
    """`gimbal.log` means the innermost run, and after it the outer one again."""
    with gimbal.run("outer", environment=False, client=client) as outer:
        with gimbal.run("inner", client=client) as inner:
            gimbal.log({"depth": 2})
            assert current_run() is inner
        gimbal.log({"depth": 1}, params={"a": 1}, tags={"t": "x"})
    assert current_run() is None

    assert client.runs.show(inner.id).metrics == {"depth": 2.0}
    kept = client.runs.show(outer.id)
    assert client.runs.show(inner.id).parent_id == outer.id
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


PROMPT = {"messages": [{"role": "user", "content": "Hi"}], "model": "local/extractive"}


def test_inputs_and_files_belong_to_the_run(client: gimbal.Client, tmp_path: Path) -> None:
    """A dataset is noted as resolved; text, bytes and a file come back as they were, with their kind."""
    version = client.assets.add("prompt:sdk/inputs", manifest=PROMPT)
    picture = tmp_path / "roc.png"
    picture.write_bytes(bytes(range(256)) * 8)
    with gimbal.run("files", inputs=["prompt:sdk/inputs@v1"], environment=False, client=client) as run:
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
