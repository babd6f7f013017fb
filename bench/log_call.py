"""What one call of `run.log` costs the program that trains, with a server that stores what is logged meanwhile.

The limit is the issue's; beside it stand a bare append to a deque, which is as little as a call can do, and what the
thread that sends takes from the same core.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

import gimbal
from bench.bar import Figure, gimbal_up, median
from gimbal.faces.client.runs import ActiveRun

CALLS, BAR_US = 20_000, 20.0


def figures() -> Iterator[Figure]:
    """Measure calls of one metric, of eight, and the bare append."""
    with gimbal_up() as running, gimbal.Client(running.url) as client:
        with gimbal.run("bench", environment=False, system_s=0, client=client) as run:
            one = median(lambda: _each(lambda i: run.log({"loss": 1 / (i + 1)}, step=i), run.flush))
            eight = median(lambda: _each(lambda i: run.log(_EIGHT, step=i), run.flush))
        with gimbal.run("bench", environment=False, system_s=0, client=client) as run:
            worst = _worst(run)
    queue: deque[tuple[dict[str, float], int]] = deque(maxlen=CALLS)
    bare = median(lambda: _each(lambda i: queue.append(({"loss": 1 / (i + 1)}, i)), queue.clear))
    yield Figure("run.log of one metric, a call", one, "µs", BAR_US, f"{BAR_US:g} µs")
    yield Figure("run.log of one metric, a call", one, "µs", bare, "a bare append", physical=True)
    yield Figure("run.log of eight metrics, a call", eight, "µs", BAR_US, f"{BAR_US:g} µs")
    yield Figure("run.log at one call a millisecond, 99 of 100 below", worst, "µs", BAR_US * 5, f"{BAR_US * 5:g} µs")


_EIGHT = {f"metric/{i}": 0.5 for i in range(8)}


def _each(call: Callable[[int], object], after: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for i in range(CALLS):
        call(i)
    took = time.perf_counter() - begun
    after()
    return took / CALLS * 1e6


def _worst(run: ActiveRun) -> float:
    """Return what 99 of 100 calls stay below when a step takes a millisecond, as a loop that trains has it."""
    took: list[float] = []
    for i in range(2_000):
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        begun = time.perf_counter()
        run.log({"loss": 1.0}, step=i)
        took.append(time.perf_counter() - begun)
    return sorted(took)[int(len(took) * 0.99)] * 1e6
