"""What MLflow's own client does against a server: run by the environment that has it, `python runs_client.py verb uri …`.

It prints one JSON object of milliseconds, medians and 95th percentiles; it knows nothing of who answers.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric

BATCH = 1000


def timed(do: Callable[[int], object], times: int) -> tuple[float, float]:
    """Return median and 95th percentile in milliseconds, after one that is not counted."""
    do(0)
    took: list[float] = []
    for turn in range(1, times + 1):
        begun = time.perf_counter()
        do(turn)
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.95)]


def write(client: MlflowClient, times: int, *, kept: bool) -> dict[str, float]:
    """Measure logging: batches of a thousand points, single points, and whole runs; look for them where they are kept."""
    experiment = client.create_experiment(f"write-{time.time_ns()}")
    run = client.create_run(experiment).info.run_id
    batches = [
        [
            Metric("loss", turn + place / BATCH, 1_700_000_000_000 + place, turn * BATCH + place)
            for place in range(BATCH)
        ]
        for turn in range(times // 4 + 2)
    ]
    begun = time.perf_counter()
    batch, _ = timed(lambda turn: client.log_batch(run, metrics=batches[turn]), times // 4 + 1)
    points = BATCH * (times // 4 + 2) / (time.perf_counter() - begun)
    single, _ = timed(lambda turn: client.log_metric(run, "acc", turn / 7, step=turn), times)
    whole, _ = timed(lambda _: client.set_terminated(client.create_run(experiment).info.run_id), times // 4 + 1)
    if kept:
        # All of it is there, or the figures are of something else.
        assert len(client.get_metric_history(run, "loss")) == BATCH * (times // 4 + 2), "points are missing"
    return {"batch": batch, "points": points, "single": single, "whole": whole}


def search(
    client: MlflowClient, times: int, experiment: str, asked: dict[str, tuple[str, list[str]]]
) -> dict[str, float]:
    """Measure searches, of each name by its filter and order."""
    found: dict[str, float] = {}
    for name, (text, order) in asked.items():
        for _ in range(2):
            assert client.search_runs([experiment], text, order_by=order, max_results=100)
        found[name], found[f"{name} p95"] = timed(
            lambda _, text=text, order=order: client.search_runs([experiment], text, order_by=order, max_results=100),
            times,
        )
    return found


def history(client: MlflowClient, times: int, points: int) -> dict[str, float]:
    """Measure the reading of one long history, whole."""
    run = client.create_run(client.create_experiment(f"history-{time.time_ns()}")).info.run_id
    for start in range(0, points, BATCH):
        some = [Metric("loss", step / 3, 1_700_000_000_000 + step, step) for step in range(start, start + BATCH)]
        client.log_batch(run, metrics=some)
    whole, _ = timed(lambda _: client.get_metric_history(run, "loss"), times)
    assert len(client.get_metric_history(run, "loss")) == points, "points are missing"
    print(run, file=sys.stderr)
    return {"whole": whole}


def main() -> None:
    """Measure what is asked and print it."""
    verb, uri, times, *rest = sys.argv[1:]
    client = MlflowClient(uri)
    if verb in {"write", "write-nowhere"}:
        found = write(client, int(times), kept=verb == "write")
    elif verb == "search":
        found = search(client, int(times), rest[0], json.loads(rest[1]))
    else:
        found = history(client, int(times), int(rest[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
