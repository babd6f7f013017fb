"""A history of 100,000 points: whole by MLflow's own client, and thinned for a plot by ours; beside MLflow's server."""

import json
import time
import urllib.request
from collections.abc import Iterator

from bench.bar import Figure, median
from bench.peers import PeerMissing
from bench.runs_peer import asked, ours, scaled, theirs


def figures() -> Iterator[Figure]:
    """Measure."""
    points = scaled(100, 5) * 1000
    with ours() as (url, _):
        found = asked("history", url, 3, points)
        plot = median(lambda: _plot(url), 9)
    yield Figure(f"runs: history of {points:,} points, whole", found["whole"], "ms", 1000, "bar")
    yield Figure(f"runs: history of {points:,} points, for a plot", plot, "ms", 100, "bar")
    try:
        with theirs() as (url, _):
            beside = asked("history", url, 2, points)
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")
        return
    told = f"mlflow's {beside['whole']:.0f} ms"
    yield Figure(
        "runs: whole history, times quicker", beside["whole"] / found["whole"], "×", 1, told, lower_is_better=False
    )


def _plot(url: str) -> float:
    """Return how long the points of a plot of the newest run take, in milliseconds."""
    base = f"{url}/api/2.0/mlflow"
    search = json.dumps({"experiment_ids": ["1"], "max_results": 1}).encode()
    request = urllib.request.Request(f"{base}/runs/search", search, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        run = json.load(reply)["runs"][0]["info"]["run_id"]
    begun = time.perf_counter()
    with urllib.request.urlopen(
        f"{base}/metrics/get-history-bulk-interval?run_ids={run}&metric_key=loss&max_results=2000"
    ) as reply:
        assert json.load(reply)["metrics"]
    return (time.perf_counter() - begun) * 1000
