"""Milliseconds from sending one span to its durable acknowledgement, while fifty senders do nothing else.

The senders share one thread and write ready bytes: on two cores, fifty of a language's HTTP clients would measure
themselves.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

from bench import load
from bench.bar import Figure, gimbal_up

SENDERS, EACH, ROUNDS = 50, 40, 5
P50_MS, P99_MS = 60, 150


class _One(asyncio.Protocol):
    """A connection that sends its next request when the last one was acknowledged."""

    def __init__(self, requests: list[bytes]) -> None:
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = iter(requests)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        # An acknowledgement has an empty body and fits into one packet.
        if not data.startswith(b"HTTP/1.1 200") or not data.endswith(b"\r\n\r\n"):
            self.done.set_exception(RuntimeError(data[:300]))
            return
        self.latencies.append(time.perf_counter() - self._sent)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or RuntimeError("the server hung up"))


async def latencies(port: int, senders: int, each: int) -> list[float]:
    """Return the seconds of every request."""
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(
            lambda: _One([load.post(port, load.batch(1).body) for _ in range(each)]), "127.0.0.1", port
        )
        for _ in range(senders)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in pairs))
    for transport, _ in pairs:
        transport.close()
    return [seconds for _, protocol in pairs for seconds in protocol.latencies]


def figures() -> Iterator[Figure]:
    """Measure rounds and give their medians."""
    halves: list[float] = []
    tails: list[float] = []
    with gimbal_up() as running:
        port = int(running.url.rpartition(":")[2])
        for number in range(ROUNDS + 1):
            cuts = statistics.quantiles(asyncio.run(latencies(port, SENDERS, EACH)), n=100)
            if number:
                halves.append(cuts[49] * 1000)
                tails.append(cuts[98] * 1000)
    yield Figure(
        f"one span, {SENDERS} senders: p50 to durable", statistics.median(halves), "ms", P50_MS, f"{P50_MS} ms"
    )
    yield Figure(f"one span, {SENDERS} senders: p99 to durable", statistics.median(tails), "ms", P99_MS, f"{P99_MS} ms")
