"""A history of 100,000 points: whole by MLflow's own client and by bare requests, and thinned for a plot; beside MLflow's server."""

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from bench.bar import Figure, median
from bench.peers import PeerMissing
from bench.runs_peer import asked, ours, scaled, theirs


def figures() -> Iterator[Figure]:
    """Measure."""
    points = scaled(100, 5) * 1000
    with ours() as (url, _):
        found = asked("history", url, 3, points)
        bare = median(lambda: _whole(url, points), 5)
        plot = median(lambda: _plot(url), 9)
    own = "of it the client's own work"
    yield Figure(f"runs: history of {points:,} points, by mlflow's client", found["whole"], "ms", 1000, "bar")
    yield Figure(f"runs: history of {points:,} points, as bare requests", bare, "ms", 1000, "bar")
    yield Figure(f"runs: {own}", found["whole"] - bare, "ms", found["whole"], "the whole", physical=True)
    yield Figure(f"runs: history of {points:,} points, for a plot", plot, "ms", 100, "bar")
    try:
        with theirs() as (url, _):
            beside = asked("history", url, 2, points)
            theirs_bare = median(lambda: _whole(url, points), 3)
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")
        return
    for what, value, other in (
        ("by its client", found["whole"], beside["whole"]),
        ("as bare requests", bare, theirs_bare),
    ):
        told = f"mlflow's {other:,.0f} ms"
        yield Figure(f"runs: whole history, {what}, times quicker", other / value, "×", 1, told, lower_is_better=False)


def _whole(url: str, points: int) -> float:
    """Return how long all pages of a history take, as large as a page may be, in milliseconds."""
    run, token, seen = _newest(url), "", 0
    begun = time.perf_counter()
    while True:
        more = f"&page_token={token}" if token else ""
        page = _get(f"{url}/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results=25000{more}")
        seen += len(page["metrics"])
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == points, "points are missing"
    return (time.perf_counter() - begun) * 1000


def _plot(url: str) -> float:
    """Return how long the points of a plot of the newest run take, in milliseconds."""
    run = _newest(url)
    begun = time.perf_counter()
    asked = f"run_ids={run}&metric_key=loss&max_results=2000"
    assert _get(f"{url}/api/2.0/mlflow/metrics/get-history-bulk-interval?{asked}")["metrics"]
    return (time.perf_counter() - begun) * 1000


def _newest(url: str) -> str:
    search = json.dumps({"experiment_ids": ["1"], "max_results": 1}).encode()
    headers = {"content-type": "application/json"}
    return _get(urllib.request.Request(f"{url}/api/2.0/mlflow/runs/search", search, headers))["runs"][0]["info"][
        "run_id"
    ]


def _get(asked: str | urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(asked) as reply:
        return json.load(reply)
