"""Logging by MLflow's own client: batches of a thousand points, single points and whole runs, beside MLflow's server.

Both with SQLite and with PostgreSQL, and against a server that keeps nothing: what the client itself takes no server can
give back. The same calls as bare requests show what is left of them for the server.
"""

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from bench.bar import Figure
from bench.peers import PeerMissing
from bench.postgres import postgres
from bench.runs_peer import asked, ours, scaled, theirs, theirs_on, thin

_CALLS = (
    ("log_batch of 1,000 points", "batch", 10),
    ("log_metric", "single", 20),
    ("create and finish", "whole", 10),
)
_API = "/api/2.0/mlflow/"


def figures() -> Iterator[Figure]:
    """Measure, one after the other: the client alone, ours, MLflow's; then both with PostgreSQL."""
    times = scaled(400, 20)
    with thin() as url:
        alone = asked("write-nowhere", url, times)
    with ours() as (url, _):
        found, bare = asked("write", url, times), _bare(url, times)
    yield Figure(
        "runs: log_batch, points through the client", found["points"], "/s", 50_000, "bar", lower_is_better=False
    )
    yield Figure("runs: log_batch, points as bare requests", bare["points"], "/s", 50_000, "bar", lower_is_better=False)
    for what, name, _ in _CALLS:
        told = "the client's own, which no server can give back"
        yield Figure(f"runs: {what}", found[name], "ms", alone[name], told, physical=True)
        yield Figure(f"runs: {what}, as bare requests", bare[name], "ms", alone[name], told, physical=True)
    try:
        with theirs() as (url, _):
            beside, bare_beside = asked("write", url, max(20, times // 8)), _bare(url, max(20, times // 8))
        yield from _times_quicker("SQLite", found, beside, alone)
        for what, name, wanted in _CALLS:
            told = f"{wanted}× mlflow's {bare_beside[name]:.1f} ms"
            ratio = bare_beside[name] / bare[name]
            yield Figure(f"runs: {what}, bare, times quicker", ratio, "×", wanted, told, lower_is_better=False)
        with ExitStack() as stack:
            databases = stack.enter_context(postgres("ours", "theirs"))
            url, _ = stack.enter_context(ours(databases["ours"]))
            found = asked("write", url, times)
            url = stack.enter_context(theirs_on(databases["theirs"]))
            beside = asked("write", url, max(20, times // 8))
        yield from _times_quicker("PostgreSQL", found, beside, alone)
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")


def _times_quicker(
    store: str, found: dict[str, float], beside: dict[str, float], alone: dict[str, float]
) -> Iterator[Figure]:
    for what, name, wanted in _CALLS:
        told = f"{wanted}× mlflow's {beside[name]:.1f} ms (client alone: {beside[name] / alone[name]:.1f}×)"
        ratio = beside[name] / found[name]
        yield Figure(f"runs: {what}, {store}, times quicker", ratio, "×", wanted, told, lower_is_better=False)


def _bare(url: str, times: int) -> dict[str, float]:
    """Return the same of bare requests over one connection, in milliseconds: what the server takes."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))

    def ask(path: str, body: object) -> dict[str, dict[str, dict[str, str]]]:
        sent = body if isinstance(body, bytes) else json.dumps(body)
        connection.request("POST", _API + path, sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        assert answer.status == 200, read[:500]
        return json.loads(read)

    experiment = ask("experiments/create", {"name": f"bare-{time.time_ns()}"})["experiment_id"]
    new = {"experiment_id": experiment, "start_time": 1, "tags": []}
    run = ask("runs/create", new)["run"]["info"]["run_id"]
    point = {"key": "loss", "value": 0.5, "timestamp": 1_700_000_000_000}
    batches = [
        json.dumps({"run_id": run, "metrics": [{**point, "step": turn * 1000 + n} for n in range(1000)]}).encode()
        for turn in range(times // 4)
    ]
    begun = time.perf_counter()
    batch = _median(lambda turn: ask("runs/log-batch", batches[turn]), times // 4)
    points = 1000 * (times // 4) / (time.perf_counter() - begun)
    single = _median(lambda turn: ask("runs/log-metric", {**point, "run_id": run, "key": "acc", "step": turn}), times)

    def whole(_: int) -> None:
        made = ask("runs/create", new)["run"]["info"]["run_id"]
        ask("runs/update", {"run_id": made, "status": "FINISHED", "end_time": 2})

    return {"batch": batch, "points": points, "single": single, "whole": _median(whole, times // 4)}


def _median(do: Callable[[int], object], times: int) -> float:
    took: list[float] = []
    for turn in range(times):
        begun = time.perf_counter()
        do(turn)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)
