"""An evaluation whose processes are killed in its middle goes on when Gimbal is back: no answer is lost, none is there twice."""

import time
from pathlib import Path

import psutil
import pytest
from bench.bar import gimbal_up

import gimbal
from gimbal.axis.evals.model import EvaluationRun, Example
from gimbal.generative.prompts.model import PromptFile

EXAMPLES, A_MINUTE = 300, 3_000
PROMPT = """+++
model = "local/extractive"
+++

## user
{{context}}

Question: {{question}}
"""
CONCURRENCY, UNCOMMITTED = 4, 20
"""Calls at the same time; answers that may come within one commit, at this pace."""


def until(client: gimbal.Client, run_id: str, done: int, within_s: float) -> EvaluationRun:
    """Return a run once it has so many answers."""
    deadline = time.monotonic() + within_s
    while (run := client.evaluations.show(run_id)).done < done:
        assert run.status == "running", run
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return run


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(tmp_path: Path) -> None:
    """What was stored is not asked again: only calls that were under way when it died are."""
    data = tmp_path / "data"
    examples = [
        Example(id=f"q{i}", input={"context": f"[1] The number of page {i} is {i}.", "question": f"What is the number of page {i}?"}, expected={"answer": str(i)})
        for i in range(EXAMPLES)
    ]  # fmt: skip
    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        client.prompts.sync(files=[PromptFile(path="numbers.md", text=PROMPT)])
        client.suites.create(name="numbers", examples=examples, scorers=["exact_match", "token_f1"])
        run = client.evaluations.start(
            suite="suite:numbers", subject="prompt:numbers", concurrency=CONCURRENCY, per_minute=A_MINUTE, cache=False
        )
        until(client, run.id, 40, 60)
        parent = psutil.Process(up.process.pid)
        for process in (*parent.children(recursive=True), parent):
            process.kill()
        up.process.wait(10)

    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        stored = len(client.evaluations.results(run.id, limit=1000).items)
        assert 40 <= stored < EXAMPLES
        deadline = time.monotonic() + 150
        while (run := client.evaluations.show(run.id)).status == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
        results = client.evaluations.results(run.id, limit=1000).items
        calls = 0
        cursor: str | None = None
        while True:
            page = client.traces.list(feature="evaluation", cursor=cursor, limit=500)
            calls += len(page.items)
            if (cursor := page.next) is None:
                break

    assert (run.status, run.done, run.total) == ("done", EXAMPLES, EXAMPLES)
    assert [row.example_id for row in results] == [f"q{i}" for i in range(EXAMPLES)]
    assert run.summaries[0].estimate.n == EXAMPLES
    assert len({row.trace_id for row in results}) == EXAMPLES
    # Besides those that answered at the moment of the kill, nobody was asked twice.
    assert EXAMPLES <= calls <= EXAMPLES + CONCURRENCY + UNCOMMITTED
