"""How runs and their points grow: 10,000, 100,000 and a million runs, and one, ten and a hundred million points.

What is asked stays the same, so the figures beside each other are a curve; decision 0007 draws it on to a billion points.
`RUNS_SCALE` makes all sizes smaller.
"""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.bar import Figure, gimbal_up, median
from bench.runs_peer import fill_ours, scaled
from gimbal.engines.storage.columns import Columns

_RUNS = (10_000, 100_000, 1_000_000)
_POINTS = (1_000_000, 10_000_000, 100_000_000)
_METRICS, _OF_RUN = 10, 1_000
"""Metrics of a run that has points, and points of each."""
_CHARTED = 500
_AT_ONCE = 5_000_000
_TIMES = 15
_SEARCHES = {
    "few pass": ("metrics.m0 > 0.999", []),
    "many pass": ("metrics.m0 > 0.2 AND params.p1 = '3'", []),
    "by its order": ("metrics.m0 > 0.5", ["metrics.m0 DESC"]),
    "by a tag that few have": ("tags.only = 'here'", []),
}
# As a loss falls: a curve with noise, of which half the digits mean something.
_FILL = """
INSERT INTO metric_points (project, name, run_id, step, at_us, value)
SELECT 'default', concat('loss/', toString(intDiv(number, {of:UInt64}) % {metrics:UInt64})),
    arrayElement({runs:Array(String)}, intDiv(number, {of:UInt64} * {metrics:UInt64}) + 1),
    number % {of:UInt64}, 1767225600000000 + number * 50000,
    toFloat32(1 / (1 + (number % {of:UInt64}) / 100) + randCanonical(number) / 50)
FROM numbers({first:UInt64}, {count:UInt64})
"""


def figures() -> Iterator[Figure]:
    """Fill one folder further and further, and ask its server each time."""
    with tempfile.TemporaryDirectory(prefix="gimbal-growth-", ignore_cleanup_errors=True) as text:
        folder = Path(text) / "data"
        with gimbal_up(folder) as up:
            runs = 0
            for wanted in (scaled(size, 100) for size in _RUNS):
                experiment = fill_ours(folder / "catalog.sqlite", wanted - runs)
                runs = wanted
                yield from _of_runs(up.url, experiment, runs, folder)
        points, ids = 0, _ids(folder / "catalog.sqlite")
        for wanted in (scaled(size, 10_000) for size in _POINTS):
            asyncio.run(_fill(folder / "columns", points, wanted, ids))
            points = wanted
            with gimbal_up(folder) as up:
                yield from _of_points(up.url, ids, points, folder)


def _of_runs(url: str, experiment: str, runs: int, folder: Path) -> Iterator[Figure]:
    tagged = _ask(url, "runs/search", experiment_ids=[experiment], max_results=1)["runs"][0]["info"]["run_id"]
    _ask(url, "runs/set-tag", run_id=tagged, key="only", value="here")
    for what, (clause, order) in _SEARCHES.items():
        asked: dict[str, Any] = {
            "experiment_ids": [experiment],
            "filter": clause,
            "order_by": order,
            "max_results": 100,
        }
        took = median(lambda asked=asked: _timed(lambda: _ask(url, "runs/search", **asked)), _TIMES)
        yield Figure(f"{runs:,} runs: search, {what}", took, "ms", 50, "bar")
    yield Figure(
        f"{runs:,} runs: create and finish", median(lambda: _timed(lambda: _whole(url)), _TIMES), "ms", 16.8, "bar"
    )
    size = sum(path.stat().st_size for path in folder.glob("catalog.sqlite*"))
    yield Figure(f"{runs:,} runs: catalog, a run of 23 values", size / runs, "bytes", 4096, "4 KiB")


def _of_points(url: str, ids: list[str], points: int, folder: Path) -> Iterator[Figure]:
    having = ids[: points // (_METRICS * _OF_RUN)][:_CHARTED]
    for runs, bar in ((having[:1], 100), (having, 1_000)):
        ask = {"kind": "line", "metric": "loss/3", "runs": runs}
        took = median(lambda ask=ask: _timed(lambda: _post(f"{url}/api/v1/projects/default/runs/chart", ask)), 7)
        yield Figure(f"{points:,} points: chart of {len(runs)} of the runs", took, "ms", bar, f"{bar:,} ms")
    size = sum(path.stat().st_size for path in (folder / "columns").rglob("*") if path.is_file())
    yield Figure(f"{points:,} points: columns, a point", size / points, "bytes", 24, "as three numbers")


def _ids(catalog: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(catalog)) as db:
        most = _POINTS[-1] // (_METRICS * _OF_RUN)
        return [
            row[0] for row in db.execute("SELECT id FROM runs WHERE stage = 'active' ORDER BY key LIMIT ?", (most,))
        ]


async def _fill(folder: Path, first: int, wanted: int, ids: list[str]) -> None:
    columns = await Columns.open(f"chdb://{folder}")
    for start in range(first, wanted, _AT_ONCE):
        count = min(_AT_ONCE, wanted - start)
        await columns.command(_FILL, {"of": _OF_RUN, "metrics": _METRICS, "runs": ids, "first": start, "count": count})
    await columns.close()


def _ask(url: str, path: str, **body: Any) -> dict[str, Any]:
    return _post(f"{url}/api/2.0/mlflow/{path}", body)


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def _whole(url: str) -> None:
    run = _ask(url, "runs/create", experiment_id="0")["run"]["info"]["run_id"]
    _ask(url, "runs/update", run_id=run, status="FINISHED", end_time=int(time.time() * 1000))


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000
