"""Milliseconds that the gateway adds to calls of an upstream that takes 50 ms, at 40 calls a second, whole and streamed.

Each call through the gateway has a twin that asks the upstream itself at the same moment. A good part of what it adds at this pace
is the machine's: cores sleep between calls. So it is measured as the system has it, and with `gateway.wake_us = 0`, where the kernel
takes that.
"""

import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil
import uvloop

from bench import proxies
from bench.bar import Figure
from bench.proxies import MODEL, OTHER_CORE, PATH, Proxy
from gimbal.engines.http.model import Deadlines, Origin
from gimbal.engines.http.raw import RawClient
from gimbal.faces.server.wakefulness import refusal, waking_within

PER_SECOND, SECONDS, SETTLE_S = 40, 15, 2
_SHARE = 10
_AT = re.compile(rb"at=(\d+) ")
_DEADLINES = Deadlines()


class Seen(NamedTuple):
    """What a caller saw."""

    first_ms: float
    """Until the first byte of the body."""
    whole_ms: float
    chunks_ms: list[float]
    """From when the upstream sent each chunk."""


def figures() -> Iterator[Figure]:
    """Measure whole answers, then streams."""
    with _upstream() as target:
        yield from _asleep_or_not(target, None)
        if not refusal():
            yield from _asleep_or_not(target, 0)


def _asleep_or_not(target: int, wake_us: int | None) -> Iterator[Figure]:
    said = "" if wake_us is None else f", gateway.wake_us = {wake_us}"
    direct = Proxy(target, MODEL, {}, psutil.Process())
    with waking_within(wake_us), proxies.thin(target) as thin:
        least = _median_added(*uvloop.run(_beside(thin, direct, stream=False)))
    with proxies.gimbal(target, wake_us=wake_us) as gateway:
        yield from _whole(*uvloop.run(_beside(gateway, direct, stream=False)), least, said)
        begun, before = time.perf_counter(), gateway.cpu_behind_s()
        yield from _streamed(*uvloop.run(_beside(gateway, direct, stream=True)), said)
        share = 100 * (gateway.cpu_behind_s() - before) / (time.perf_counter() - begun)
        yield Figure(f"a core's share for {PER_SECOND} records a second{said}", share, "%", _SHARE, f"{_SHARE} %")


def _whole(ours: list[Seen], theirs: list[Seen], least: float, said: str) -> Iterator[Figure]:
    added = _median_added(ours, theirs)
    yield Figure(f"gateway adds to 50 ms, p50{said}", added, "ms", 1.0, "1 ms")
    yield Figure("  of", added, "ms", least, f"what the thinnest proxy adds ({least:.2f} ms)", physical=True)
    longest = _p99([one.whole_ms for one in ours]) - _p99([one.whole_ms for one in theirs])
    yield Figure(f"gateway adds to 50 ms, p99{said}", longest, "ms", 5.0, "5 ms")


def _median_added(ours: list[Seen], theirs: list[Seen]) -> float:
    return statistics.median(one.whole_ms for one in ours) - statistics.median(one.whole_ms for one in theirs)


def _streamed(ours: list[Seen], theirs: list[Seen], said: str) -> Iterator[Figure]:
    added = statistics.median(one.first_ms for one in ours) - statistics.median(one.first_ms for one in theirs)
    yield Figure(f"gateway adds to the first byte of a stream, p50{said}", added, "ms", 1.5, "1.5 ms")
    mine, bare = ([ms for one in seen for ms in one.chunks_ms] for seen in (ours, theirs))
    middle = statistics.median(mine) - statistics.median(bare)
    yield Figure(f"chunk through the gateway, p50{said}", middle, "ms", 1.0, "1 ms")
    yield Figure(f"chunk through the gateway, p99{said}", _p99(mine) - _p99(bare), "ms", 1.0, "1 ms")


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


async def _beside(gateway: Proxy, direct: Proxy, *, stream: bool) -> tuple[list[Seen], list[Seen]]:
    """Ask both at a steady pace, whatever the answers take; leave out those of the first seconds."""
    client = RawClient()
    calls: list[tuple[asyncio.Task[Seen], asyncio.Task[Seen]]] = []
    begun = time.perf_counter()
    for number in range(PER_SECOND * (SECONDS + SETTLE_S)):
        await asyncio.sleep(max(0.0, begun + number / PER_SECOND - time.perf_counter()))
        pair = [gateway, direct]
        tasks = {
            id(proxy): asyncio.create_task(_call(client, proxy, stream=stream))
            for proxy in pair[:: 1 - 2 * (number % 2)]
        }
        calls.append((tasks[id(gateway)], tasks[id(direct)]))
    seen = [(await ours, await theirs) for ours, theirs in calls][PER_SECOND * SETTLE_S :]
    await client.aclose()
    return [ours for ours, _ in seen], [theirs for _, theirs in seen]


async def _call(client: RawClient, proxy: Proxy, *, stream: bool) -> Seen:
    body = json.dumps(
        {"model": proxy.model, "stream": stream, "messages": [{"role": "user", "content": "Why?"}]}
    ).encode()
    headers = [(b"content-type", b"application/json"), *((n.encode(), v.encode()) for n, v in proxy.headers.items())]
    begun, first, chunks = time.perf_counter(), 0.0, list[float]()
    answer = await client.send(
        b"POST", Origin("http", "127.0.0.1", proxy.port), PATH.encode(), headers, body, deadlines=_DEADLINES
    )
    assert answer.status == 200, await answer.read(1 << 20)
    async for chunk in answer.chunks():
        now = time.perf_counter_ns()
        first = first or now / 1e9
        chunks += [(now - int(at)) / 1e6 for at in _AT.findall(chunk)]
    await answer.aclose()
    return Seen((first - begun) * 1000, (time.perf_counter() - begun) * 1000, chunks)


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    command = ["taskset", "-c", OTHER_CORE, sys.executable, "-m", "bench.slow_upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()
