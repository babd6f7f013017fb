"""A suite is made of traces and checked while all processes are killed: the jobs go on, and one version comes of it."""

import time
from pathlib import Path

import httpx
import psutil
import pytest
from bench.bar import gimbal_up
from tests.axis.traces import wire

import gimbal
from gimbal.axis.evals.building.model import BuiltSuite
from gimbal.axis.evals.contaminating.model import ContaminationReport
from gimbal.axis.evals.model import Example
from gimbal.engines.compute.model import Job

TRACES, BATCH, MOST, EXAMPLES = 4_000, 500, 3_000, 400
GRIDS = "abcdefghijklmnopqrst"


def question(number: int) -> str:
    """Return a question that shares hardly two words in a row with others."""
    signs = [GRIDS[number * step % len(GRIDS)] * (2 + number // step % 7) for step in (1, 3, 7, 11, 13, 17)]
    return f"{number} {' '.join(signs)} {number * 7919}?"


def send(url: str) -> None:
    """Send traces that ask a question each."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for begin in range(0, TRACES, BATCH):
            spans = [
                wire.span(wire.trace_id(), 1, attributes={"gimbal.input": question(number)})
                for number in range(begin, begin + BATCH)
            ]
            body = wire.request(*spans).SerializeToString()
            client.post("/v1/traces", content=body, headers={"content-type": wire.PROTOBUF}).raise_for_status()


def until(client: gimbal.Client, job_id: str, word: str) -> Job:
    """Return a job once it says a word, or has ended."""
    deadline = time.monotonic() + 90
    while word not in (job := client.jobs.show(job_id)).message and job.finished_at is None:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return job


@pytest.mark.slow
def test_killed_while_it_draws(tmp_path: Path) -> None:
    data = tmp_path / "data"
    mine = [Example(id=f"q{n}", input={"question": question(n)}, expected={"answer": "x"}) for n in range(EXAMPLES)]
    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        client.suites.create(name="mine", examples=mine, scorers=["exact_match"])
        client.suites.create(name="real", examples=mine[:1], scorers=["exact_match"])
        send(up.url)
        draw = client.suites.from_traces(name="real", add=True, most=MOST)
        cut = until(client, draw.job_id, "examples")
        check = client.suites.contamination("suite:mine")
        parent = psutil.Process(up.process.pid)
        for process in (*parent.children(recursive=True), parent):
            process.kill()
        up.process.wait(10)

    with gimbal_up(data) as up, gimbal.Client(up.url) as client:
        built = gimbal.wait(draw.job_id, BuiltSuite, client=client, timeout=180)
        report = gimbal.wait(check.job_id, ContaminationReport, client=client, timeout=180)
        versions = client.assets.versions("suite:real").items
        attempts = client.jobs.show(draw.job_id).attempt

    assert (cut.finished_at, attempts) == (None, 2), cut
    assert [one.number for one in versions] == [2, 1]
    assert (str(built.ref), built.examples, built.looked_at) == ("suite:real@v2", MOST, TRACES)
    assert versions[0].manifest["examples"] == MOST + 1
    assert (report.examples, report.compared) == (EXAMPLES, 1)
    assert report.touched >= 1
