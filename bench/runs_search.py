"""Searches of the top hundred by MLflow's own client: at 10,000 runs beside MLflow's server, at 100,000 by ours alone.

Bare requests for the same tell the server's part: the client takes tens of milliseconds to read a hundred runs.
"""

import http.client
import json
import time
from collections.abc import Iterator

from bench.bar import Figure
from bench.peers import PeerMissing
from bench.runs_peer import asked, fill_ours, fill_theirs, ours, scaled, theirs

_KINDS = {"few": "few pass", "many": "many pass", "ordered": "by its order"}
_ASKED = {
    "few": ("metrics.m0 > 0.999", ["attributes.start_time DESC"]),
    "many": ("metrics.m0 > 0.2 AND params.p1 = '3'", ["attributes.start_time DESC"]),
    "ordered": ("metrics.m0 > 0.5", ["metrics.m0 DESC"]),
}


def figures() -> Iterator[Figure]:
    """Measure; the client's own work on a hundred runs is in all but the bare requests."""
    small, large, times = scaled(10_000, 500), scaled(100_000, 1_000), scaled(60, 10)
    with ours() as (url, catalog):
        experiment = fill_ours(catalog, small)
        found, bare = _through_client(url, times, experiment), _bare(url, times, experiment)
        experiment = fill_ours(catalog, large)
        far, bare_far = _through_client(url, times, experiment), _bare(url, times, experiment)
    for kind, what in _KINDS.items():
        through, alone = far[f"{kind} p95"], bare_far[f"{kind} p95"]
        yield Figure(f"runs: search of {large:,}, {what}, p95 through the client", through, "ms", 50, "bar")
        yield Figure(f"runs: search of {large:,}, {what}, p95 of bare requests", alone, "ms", 50, "bar")
        yield Figure("  of it the client's own work", through - alone, "ms", through, "the whole", physical=True)
    try:
        with theirs() as (url, database):
            experiment, few = fill_theirs(database, small), max(5, times // 10)
            beside, bare_beside = _through_client(url, few, experiment), _bare(url, few, experiment)
    except PeerMissing as problem:
        print(f"      mlflow cannot be had here: {problem}")
        return
    for kind, what in _KINDS.items():
        yield _times_quicker(f"runs: search of {small:,}, {what}", beside[kind], found[kind])
        yield _times_quicker(f"runs: search of {small:,}, {what}, bare requests", bare_beside[kind], bare[kind])


def _times_quicker(what: str, theirs_ms: float, ours_ms: float) -> Figure:
    told = f"40× mlflow's {theirs_ms:.0f} ms against {ours_ms:.1f}"
    return Figure(f"{what}, times quicker", theirs_ms / ours_ms, "×", 40, told, lower_is_better=False)


def _through_client(url: str, times: int, experiment: str) -> dict[str, float]:
    return asked("search", url, times, experiment, json.dumps(_ASKED))


def _bare(url: str, times: int, experiment: str) -> dict[str, float]:
    """Return what the client measures, of bare requests over one connection."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    found: dict[str, float] = {}
    for kind, (text, order) in _ASKED.items():
        asked_for = {"experiment_ids": [experiment], "filter": text, "order_by": order, "max_results": 100}
        took: list[float] = []
        for _ in range(times + 3):
            begun = time.perf_counter()
            connection.request(
                "POST",
                "/api/2.0/mlflow/runs/search",
                json.dumps(asked_for),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            read = answer.read()
            took.append((time.perf_counter() - begun) * 1000)
            assert answer.status == 200, read[:500]
        took = sorted(took[3:])
        found[kind], found[f"{kind} p95"] = took[len(took) // 2], took[int(len(took) * 0.95)]
    return found
