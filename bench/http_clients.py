"""Requests per second and CPU per request of HTTP clients over loopback, beside a bare connection that reads no HTTP at all.

Each client runs in a process of its own, and the peers in environments of their own under `.bench/`; the server, in
another process, answers every request with the same bytes.
"""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import peers
from bench.bar import Figure

CONCURRENCIES, ROUNDS, SECONDS = (1, 16, 64), 3, 2.0
ENOUGH_US = 20
_RUN = str(Path(__file__).with_name("http_client_run.py"))
_OURS, _LIMIT = "ours", "bare"
_HERE, _ELSEWHERE = ("httpx",), ("aiohttp", "pyreqwest")


class _Cost(NamedTuple):
    per_second: float
    cpu_us: float


def figures() -> Iterator[Figure]:
    """Measure all by turns, so that each meets the same neighbours, and compare the medians."""
    programs = dict.fromkeys((_OURS, _LIMIT, *_HERE), sys.executable)
    for name in _ELSEWHERE:
        try:
            programs[name] = str(peers.environment(name, "uvloop") / "python")
        except peers.PeerMissing as reason:
            print(f"----  {name} {peers.pinned(name)} cannot be had here: {reason}", flush=True)
    with _server() as port:
        for concurrency in CONCURRENCIES:
            costs = {name: [] for name in programs}
            for _ in range(ROUNDS):
                for name, program in programs.items():
                    costs[name].append(_measured(program, name, port, concurrency))
            yield from _compared({name: _median(of) for name, of in costs.items()}, f"{concurrency} at once")


def _compared(costs: dict[str, _Cost], how: str) -> Iterator[Figure]:
    ours, limit = costs.pop(_OURS), costs.pop(_LIMIT)
    yield Figure(f"CPU of a small request, {how}", ours.cpu_us, "µs", ENOUGH_US, f"{ENOUGH_US} µs")
    yield Figure(
        "  the same", ours.cpu_us, "µs", limit.cpu_us, f"a bare connection's {limit.cpu_us:.1f} µs", physical=True
    )
    yield Figure(
        f"requests, {how}", ours.per_second, "/s", limit.per_second, f"a bare connection's {limit.per_second:,.0f} /s",
        lower_is_better=False, physical=True,
    )  # fmt: skip
    for name, theirs in costs.items():
        yield Figure("  CPU", ours.cpu_us, "µs", theirs.cpu_us, f"{name}'s {theirs.cpu_us:.0f} µs")
        yield Figure(
            "  requests", ours.per_second, "/s", theirs.per_second, f"{name}'s {theirs.per_second:,.0f} /s",
            lower_is_better=False,
        )  # fmt: skip


def _median(costs: list[_Cost]) -> _Cost:
    return _Cost(statistics.median(one.per_second for one in costs), statistics.median(one.cpu_us for one in costs))


def _measured(program: str, client: str, port: int, concurrency: int) -> _Cost:
    command = [program, _RUN, client, str(port), str(concurrency), str(SECONDS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, f"{client} failed: {ended.stderr[-2000:]}"
    return _Cost(**json.loads(ended.stdout))


@contextlib.contextmanager
def _server() -> Iterator[int]:
    with subprocess.Popen([sys.executable, _RUN, "serve"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()
