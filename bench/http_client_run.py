"""What `http_clients` runs: `serve`, or a client with a port, how many at once and for how many seconds.

A peer's environment has nothing but the peer and uvloop, so nothing else is imported before it is known whose turn it is.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

TARGET = "/v1/chat/completions"
HEADERS = {
    "content-type": "application/json", "accept": "application/json", "user-agent": "bench",
    "authorization": "Bearer sk-0123456789abcdef",
}  # fmt: skip
BODY = b'{"model":"tiny","messages":[{"role":"user","content":"' + b"What keeps both rings level? " * 12 + b'"}]}'
_TEXT = b'{"choices":[{"message":{"content":"' + b"Gimbal keeps both rings level. " * 12 + b'"}}]}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 03 Jan 2026 12:00:00 GMT\r\ncontent-type: application/json\r\nx-request-id: 0123456789\r\n"
    b"server: bench\r\ncontent-length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT)
)
Send = Callable[[], Awaitable[bytes]]


class _Answering(asyncio.Protocol):
    """Says the answer to whatever comes: a request fits into one packet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):
            self._transport.write(ANSWER)


class _Bare(asyncio.Protocol):
    """A connection that sends ready bytes and counts those that come back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.waiter: asyncio.Future[bytes] | None = None
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if not self.missing and self.waiter is not None:
            self.waiter.set_result(data)


async def bare(port: int, concurrency: int) -> tuple[Send, Callable[[], Awaitable[None]]]:
    loop = asyncio.get_running_loop()
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    request = (
        f"POST {TARGET} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY
    )
    free = [(await loop.create_connection(_Bare, "127.0.0.1", port))[1] for _ in range(concurrency)]

    async def send() -> bytes:
        connection = free.pop()
        connection.waiter, connection.missing = loop.create_future(), len(ANSWER)
        connection.transport.write(request)
        got = await connection.waiter
        free.append(connection)
        return got

    async def close() -> None:
        for connection in free:
            connection.transport.abort()

    return send, close


async def ours(port: int, concurrency: int) -> tuple[Send, Callable[[], Awaitable[None]]]:
    from gimbal.engines.http.model import Deadlines, Origin
    from gimbal.engines.http.pool import Limits
    from gimbal.engines.http.raw import RawClient

    client = RawClient(Limits(connections=concurrency))
    origin, deadlines = Origin("http", "127.0.0.1", port), Deadlines()
    headers = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
    target = TARGET.encode()

    async def send() -> bytes:
        answer = await client.send(b"POST", origin, target, headers, BODY, deadlines=deadlines)
        try:
            return await answer.read(1 << 20)
        finally:
            await answer.aclose()

    return send, client.aclose


async def httpx(port: int, concurrency: int) -> tuple[Send, Callable[[], Awaitable[None]]]:
    import httpx as library

    client = library.AsyncClient(
        limits=library.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    )
    url = f"http://127.0.0.1:{port}{TARGET}"

    async def send() -> bytes:
        return (await client.post(url, content=BODY, headers=HEADERS)).content

    return send, client.aclose


async def aiohttp(port: int, concurrency: int) -> tuple[Send, Callable[[], Awaitable[None]]]:
    import aiohttp as library

    client = library.ClientSession(connector=library.TCPConnector(limit=concurrency))
    url = f"http://127.0.0.1:{port}{TARGET}"

    async def send() -> bytes:
        async with client.post(url, data=BODY, headers=HEADERS) as answer:
            return await answer.read()

    return send, client.close


async def pyreqwest(port: int, concurrency: int) -> tuple[Send, Callable[[], Awaitable[None]]]:
    from pyreqwest.client import ClientBuilder

    client = await ClientBuilder().max_connections(concurrency).build().__aenter__()
    url = f"http://127.0.0.1:{port}{TARGET}"

    async def send() -> bytes:
        answer = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
        return bytes(await answer.bytes())

    return send, client.close


async def drive(client: str, port: int, concurrency: int, seconds: float) -> dict[str, float]:
    send, close = await globals()[client](port, concurrency)
    done = 0

    async def work(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await send()
            done += 1

    assert (await send()).endswith(_TEXT)
    await asyncio.gather(*(work(time.perf_counter() + 0.3) for _ in range(concurrency)))
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(started + seconds) for _ in range(concurrency)))
    took, used = time.perf_counter() - started, time.process_time() - cpu
    await close()
    return {"per_second": done / took, "cpu_us": used / done * 1e6}


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        uvloop.run(serve())
    else:
        _, name, to, at_once, for_s = sys.argv
        print(json.dumps(uvloop.run(drive(name, int(to), int(at_once), float(for_s)))))
