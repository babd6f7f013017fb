"""An optimisation whose processes are killed in its middle goes on when Gimbal is back, and pays for nothing twice."""

import time
from pathlib import Path

import psutil
import pytest
from bench.bar import gimbal_up

import gimbal
from gimbal.axis.evals.model import Example
from gimbal.generative.gateway.optimising.model import Optimisation
from gimbal.generative.prompts.model import PromptFile

EXAMPLES, ROUNDS = 120, 10
PROMPT = """+++
model = "local/extractive"
+++

## user
{{context}}

Question: {{question}}
"""
CONCURRENCY, UNCOMMITTED = 4, 60
"""Calls at the same time; answers that may come within one commit, at the pace of a local answerer."""


def followed(client: gimbal.Client, id_: str, rounds: int, within_s: float) -> Optimisation:
    """Return an optimisation once it has done so many rounds, or has ended."""
    deadline = time.monotonic() + within_s
    while (found := client.optimisations.show(id_)).rounds < rounds and found.status == "running":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def calls(client: gimbal.Client) -> int:
    """Return how many calls optimisations have made."""
    found, cursor = 0, None
    while True:
        page = client.traces.list(feature="optimisation", cursor=cursor, limit=500)
        found += len(page.items)
        if (cursor := page.next) is None:
            return found


@pytest.mark.slow
def test_a_killed_optimisation_goes_on(tmp_path: Path) -> None:
    """What was answered is not asked again: only calls that were under way when it died are."""
    data = tmp_path / "data"
    examples = [
        Example(id=f"q{i}", input={"context": f"[1] The number of page {i} is {i}.", "question": f"What is the number of page {i}?"}, expected={"answer": str(i)})
        for i in range(EXAMPLES)
    ]  # fmt: skip
    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        client.prompts.sync(files=[PromptFile(path="numbers.md", text=PROMPT)])
        client.suites.create(name="numbers", examples=examples, scorers=["token_f1"])
        begun = client.prompts.optimise(
            "prompt:numbers", suite="suite:numbers", methods=["few_shot"], rounds=ROUNDS, concurrency=CONCURRENCY
        )
        followed(client, begun.id, 2, 90)
        parent = psutil.Process(up.process.pid)
        for process in (*parent.children(recursive=True), parent):
            process.kill()
        up.process.wait(10)

    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        cut = client.optimisations.show(begun.id)
        deadline = time.monotonic() + 180
        while (found := client.optimisations.show(begun.id)).status == "running":
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        rows = client.optimisations.candidates(begun.id)
        made = calls(client)

    assert 2 <= cut.rounds < ROUNDS, cut
    assert (found.status, found.rounds) == ("done", ROUNDS), found
    assert [row.number for row in rows] == list(range(len(rows)))
    needed = found.calls + (2 * len(found.split.validation) if found.proof else 0)
    # Besides those that answered at the moment of the kill, nobody was asked twice.
    assert needed <= made <= needed + CONCURRENCY + UNCOMMITTED
