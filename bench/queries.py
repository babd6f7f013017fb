"""Questions to a million spans: a list within 150 ms, sums and full text within 300 ms, at the 95th percentile."""

import time
from collections.abc import Iterator

import httpx

from bench.bar import Figure, gimbal_up
from bench.pages import SPANS, fill

_TIMES = 20
_LIST, _SUMS = 150, 300
QUESTIONS = (
    ("list", "traces", {}, _LIST),
    ("list of failed", "traces", {"status": "error"}, _LIST),
    ("list by cost", "traces", {"sort": "cost"}, _SUMS),
    ("aggregate by model and hour", "traces/aggregate", {"group": "model", "every": "hour"}, _SUMS),
    ("aggregate by feature and model", "traces/aggregate", {"group": ["feature", "model"]}, _SUMS),
    ("text search, in all", "traces", {"search": "why"}, _SUMS),
    ("text search, in none", "traces", {"search": "nowhere{}"}, _SUMS),
)


def figures() -> Iterator[Figure]:
    """Fill a server through its own columns and time what it answers."""
    with gimbal_up() as running:
        fill(running.url)
        with httpx.Client(base_url=f"{running.url}/api/v1/projects/default/", timeout=60) as client:
            for name, path, asked, bar in QUESTIONS:
                times: list[float] = []
                for number in range(_TIMES):
                    # Another word each time: what an engine remembers of a question is not what it takes.
                    given = {k: v.format(number) if isinstance(v, str) else v for k, v in asked.items()}
                    started = time.perf_counter()
                    client.get(path, params=given).raise_for_status()
                    times.append(time.perf_counter() - started)
                p95 = sorted(times)[round(0.95 * _TIMES) - 1] * 1000
                yield Figure(f"{name} with {SPANS:,} spans, p95", p95, "ms", bar, f"{bar} ms")
