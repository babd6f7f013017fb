"""Logging by MLflow's own client: batches of a thousand points, single points and whole runs, beside MLflow's server."""

from collections.abc import Iterator

from bench.bar import Figure
from bench.peers import PeerMissing
from bench.runs_peer import asked, ours, scaled, theirs


def figures() -> Iterator[Figure]:
    """Measure both servers by the same client, one after the other; MLflow's with its SQLite."""
    times = scaled(400, 20)
    with ours() as (url, _):
        found = asked("write", url, times)
    yield Figure(
        "runs: log_batch of 1,000 points, durable", found["points"], "/s", 50_000, "bar", lower_is_better=False
    )
    yield Figure("runs: log_metric", found["single"], "ms", 2.8, "bar")
    yield Figure("runs: create and finish", found["whole"], "ms", 16.8, "bar")
    try:
        with theirs() as (url, _):
            beside = asked("write", url, max(20, times // 8))
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")
        return
    for what, name, times_better in (
        ("log_batch", "batch", 10),
        ("log_metric", "single", 20),
        ("create and finish", "whole", 10),
    ):
        ratio = beside[name] / found[name]
        told = f"{times_better}× mlflow's {beside[name]:.1f} ms"
        yield Figure(f"runs: {what}, times quicker", ratio, "×", times_better, told, lower_is_better=False)
