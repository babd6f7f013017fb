"""Metric points per second: logged by one run through the SDK, every one acknowledged durable at the end."""

import time
from collections.abc import Iterator

import gimbal
from bench.bar import Figure, gimbal_up

POINTS, BAR = 100_000, 10_000


def figures() -> Iterator[Figure]:
    """Measure one run that logs as fast as it can."""
    with gimbal_up() as running, gimbal.Client(running.url) as client:
        started = time.perf_counter()
        with gimbal.run("bench", client=client) as run:
            for step in range(POINTS // 4):
                run.log({"loss": 1 / (step + 1), "auc": 0.5, "lr": 0.1, "grad": 2.0}, step=step)
        rate = POINTS / (time.perf_counter() - started)
        begun = time.perf_counter()
        for i in range(100):
            client.runs.log(run.id, tags={"i": str(i)})
        single = (time.perf_counter() - begun) / 100
    yield Figure("metric points/s, one run through the SDK", rate, "/s", BAR, f"{BAR:,}/s", lower_is_better=False)
    yield Figure("one tag, request to durable answer", single * 1000, "ms", 50, "50 ms")
