"""Memory of the server while five times as much is sent as it can write: bounded, and every refusal says when to return.

The senders do not wait for each other's answers, as many applications do not know of one another: there are so many
connections that the writer's queue is full while all of them wait.
"""

import asyncio
import itertools
import re
import resource
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from bench import load
from bench.bar import Figure, gimbal_up

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
BATCH, TIMES, LOAD_S, CONNECTIONS = 25, 5, 20.0, 2400
# What the writer's queue and the bodies of requests may hold by default, and as much again for what is made of them.
MOST_MB = 1024
# On two cores nobody sends five times what Gimbal can write unless it commits little at a time; all else is the default.
SLOW = {"GIMBAL_WRITER_MAX_BATCH_ROWS": str(BATCH)}


def figures() -> Iterator[Figure]:
    """Learn how much can be written, send five times that, and watch the server."""
    # Every connection is an open file, here and in the server.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    bodies = [load.batch(BATCH) for _ in range(400)]
    with gimbal_up(**SLOW) as running:
        port = int(running.url.rpartition(":")[2])
        load.drive(2, port, bodies)
        known = load.drive(2, port, bodies)
        rate = len(bodies) * BATCH / known.seconds
        server = max(psutil.Process(running.process.pid).children(), key=lambda p: p.memory_info().rss)
        before = server.memory_info().rss
        flood = asyncio.run(_flood(port, bodies, TIMES * rate / BATCH, server))
    offered = sum(flood.answers.values()) * BATCH / LOAD_S
    told = ", ".join(f"{count:,} × {status or 'broken'}" for status, count in sorted(flood.answers.items()))
    print(f"      {offered:,.0f} spans/s offered, {rate:,.0f}/s can be written: {told}")
    yield Figure(
        f"server RSS growth, {offered / rate:.1f} times what it can write",
        (flood.most_bytes - before) / 2**20,
        "MB",
        MOST_MB,
        f"{MOST_MB} MB",
    )
    refusals = sum(count for status, count in flood.answers.items() if status != 200)
    fit = sum(flood.answers[status] for status in (429, 503)) - flood.silent
    if refusals:
        yield Figure(
            "refusals by 429 or 503 with Retry-After", fit / refusals * 100, "%", 100, "all", lower_is_better=False
        )


class Flood(NamedTuple):
    """What became of a load that nobody held back."""

    answers: Counter[int]
    """How many answers of each status; 0 for connections that broke."""
    silent: int
    """Refusals that did not say when to come again."""
    most_bytes: int
    """The most memory that the server had."""


class _Link(asyncio.Protocol):
    """One connection; it is free when its request was answered."""

    def __init__(self, free: deque["_Link"], answers: Counter[int], silent: list[bytes]) -> None:
        self._free, self._answers, self._silent = free, answers, silent
        self._waits = False
        self._come = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._free.append(self)

    def send(self, request: bytes) -> None:
        self._waits = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._come += data
        head, ended, body = self._come.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not ended or (length and len(body) < int(length[1])):
            return
        status = int(head[9:12])
        self._answers[status] += 1
        if status in {429, 503} and b"\r\nretry-after:" not in head.lower():
            self._silent.append(head)
        self._come, self._waits = b"", False
        self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._answers[0] += 1
        elif self in self._free:
            # The server hangs up on those who say nothing for a while.
            self._free.remove(self)


async def _flood(port: int, bodies: list[load.Batch], per_second: float, server: psutil.Process) -> Flood:
    """Send so many requests a second for a while, whatever becomes of those before, and wait for all answers."""
    loop, free, answers, silent = asyncio.get_running_loop(), deque[_Link](), Counter[int](), list[bytes]()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Link(free, answers, silent), "127.0.0.1", port)
    requests = itertools.cycle([load.post(port, batch.body) for batch in bodies])
    begun, sent, most = time.monotonic(), 0, 0
    while (now := time.monotonic()) < begun + LOAD_S:
        while free and sent < (now - begun) * per_second:
            free.popleft().send(next(requests))
            sent += 1
        most = max(most, server.memory_info().rss)
        await asyncio.sleep(0.005)
    while sum(answers.values()) < sent and time.monotonic() < begun + 4 * LOAD_S:
        most = max(most, server.memory_info().rss)
        await asyncio.sleep(0.05)
    for link in list(free):
        link.transport.close()
    answers[0] += sent - sum(answers.values())
    return Flood(+answers, len(silent), most)
