"""Pages with a million spans stored: each answers within 150 ms."""

import statistics
import time
from collections.abc import Iterator

import httpx

from bench import corpus
from bench.bar import Figure, gimbal_up

SPANS = 1_000_000
PATHS = ("/p/default/traces", "/p/default/traces?status=error", "/p/default/traces?feature=f7", "/p/default")


def figures() -> Iterator[Figure]:
    """Fill a server through its own writer's table and time the pages."""
    with gimbal_up() as running:
        corpus.fill(running.url, SPANS)
        with httpx.Client(base_url=running.url, timeout=60) as client:
            newest = client.get("/api/v1/projects/default/traces").json()["items"][0]["trace_id"]
            for path in (*PATHS, f"/p/default/traces/{newest}"):
                client.get(path).raise_for_status()
                times = []
                for _ in range(9):
                    started = time.perf_counter()
                    client.get(path).raise_for_status()
                    times.append(time.perf_counter() - started)
                shown = path.replace(newest, "{id}")
                yield Figure(f"{shown} with {SPANS:,} spans", statistics.median(times) * 1000, "ms", 150, "150 ms")
