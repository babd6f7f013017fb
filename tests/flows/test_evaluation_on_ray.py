"""An evaluation that Ray carries out is the one that the worker would have: its results, its traces, its end."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bench.bar import Running, gimbal_up

import gimbal
from gimbal.axis.evals.model import EvaluationResult, EvaluationRun, Example
from gimbal.generative.prompts.model import PromptFile

EXAMPLES, A_MINUTE, CONCURRENCY, UNCOMMITTED = 40, 300, 2, 20
PROMPT = """+++
model = "local/extractive"
+++

## user
{{context}}

Question: {{question}}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a data folder with a suite, a prompt, and an evaluation that was done without Ray."""
    folder = tmp_path / "data"
    examples = [
        Example(id=f"q{i}", input={"context": f"[1] The number of page {i} is {i}.", "question": f"What is the number of page {i}?"}, expected={"answer": str(i)})
        for i in range(EXAMPLES)
    ]  # fmt: skip
    with gimbal_up(folder) as up, gimbal.Client(up.url) as client:
        client.prompts.sync(files=[PromptFile(path="numbers.md", text=PROMPT)])
        client.suites.create(name="numbers", examples=examples, scorers=["exact_match", "token_f1"])
        assert until(client, start(client), EXAMPLES).status == "done"
    return folder


@pytest.fixture
def on_ray(data: Path) -> Iterator[Running]:
    """Give that installation with its jobs on a cluster that it starts."""
    with gimbal_up(data, GIMBAL_WORKER_EXECUTOR="ray") as up:
        yield up


def start(client: gimbal.Client, *, per_minute: int | None = None) -> str:
    return client.evaluations.start(
        suite="suite:numbers", subject="prompt:numbers", concurrency=CONCURRENCY, per_minute=per_minute, cache=False
    ).id


def until(client: gimbal.Client, run_id: str, done: int) -> EvaluationRun:
    """Return a run once it has so many answers and, where these are all, its end."""
    deadline = time.monotonic() + 120
    while (run := client.evaluations.show(run_id)).done < done or (done == EXAMPLES and run.status == "running"):
        assert run.status == "running", run
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return run


def results(client: gimbal.Client, run_id: str) -> list[EvaluationResult]:
    return client.evaluations.results(run_id, limit=1000).items


def said(row: EvaluationResult) -> tuple[object, ...]:
    """Return what of a result does not depend on the hour."""
    return row.example_id, row.input, row.text, row.scores, row.missing, row.cost, row.input_tokens, row.error


def lapse(data: Path) -> None:
    """Let the lease of a job whose process is dead run out: nobody renews it, so that only time has to pass."""
    with contextlib.closing(sqlite3.connect(data / "catalog.sqlite", timeout=30)) as catalog, catalog:
        (count,) = catalog.execute("SELECT count(*) FROM jobs WHERE status = 'running' AND lease_until > 0").fetchone()
        assert count == 1
        catalog.execute("UPDATE jobs SET lease_until = 0 WHERE status = 'running'")


def nodes(up: Running) -> list[psutil.Process]:
    """Return the processes of the cluster that carry jobs out."""
    return [p for p in psutil.Process(up.process.pid).children(recursive=True) if p.cmdline()[:1] == ["ray::Node"]]


@pytest.mark.slow
def test_an_evaluation_on_ray_is_the_same(on_ray: Running, data: Path) -> None:
    """Stored results and traces; a killed process of the cluster loses no answer and repeats none; cancelled, it keeps what it has."""
    with gimbal.Client(on_ray.url) as client:
        here = client.evaluations.list().items[0]
        there = until(client, start(client), EXAMPLES)
        (worker,) = nodes(on_ray)

        slow = start(client, per_minute=A_MINUTE)
        until(client, slow, 10)
        worker.kill()
        worker.wait(30)
        lapse(data)
        stored = len(results(client, slow))
        gone_on = until(client, slow, EXAMPLES)
        assert worker.pid not in {process.pid for process in nodes(on_ray)}

        stopped = start(client, per_minute=A_MINUTE)
        until(client, stopped, 10)
        client.evaluations.cancel(stopped)
        deadline = time.monotonic() + 30
        while (cancelled := client.evaluations.show(stopped)).status == "running":
            assert time.monotonic() < deadline, cancelled
            time.sleep(0.1)

        mine, theirs, again, kept = (results(client, one) for one in (here.id, there.id, slow, stopped))
        traced = client.traces.show(theirs[0].trace_id)
        calls, cursor = 0, None
        while True:
            page = client.traces.list(feature="evaluation", cursor=cursor, limit=500)
            calls += len(page.items)
            if (cursor := page.next) is None:
                break

    assert [said(row) for row in theirs] == [said(row) for row in mine]
    assert [summary.estimate for summary in there.summaries] == [summary.estimate for summary in here.summaries]
    assert traced.spans
    assert stored < EXAMPLES
    assert (gone_on.status, [row.example_id for row in again]) == ("done", [f"q{i}" for i in range(EXAMPLES)])
    assert len({row.trace_id for row in again}) == EXAMPLES
    assert cancelled.status == "cancelled"
    assert 10 <= len(kept) < EXAMPLES
    assert cancelled.summaries[0].estimate.n == len(kept)
    assert calls <= 3 * EXAMPLES + len(kept) + 2 * (CONCURRENCY + UNCOMMITTED)
