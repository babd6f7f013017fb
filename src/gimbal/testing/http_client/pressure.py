"""Who is slow slows the other down, in both directions; and memory stays where it is."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

from gimbal.engines.http.model import Client, SizedBody
from gimbal.engines.http.pool import Limits
from gimbal.kernel.errors import BadInput
from gimbal.kernel.settings import MIB
from gimbal.testing.http_client.server import (
    PATIENT,
    OpenClient,
    Peer,
    Server,
    always,
    asked,
    fetched,
    opened,
    serving,
    until,
)
from gimbal.testing.promise import promise

_PIECE = 64 * 1024
_LARGE = 64 * MIB
# The network of a machine holds some megabytes in each direction.
_IN_BETWEEN = 24 * MIB


async def check_slow_reader(open_client: OpenClient) -> None:
    """Check that a server is held up while nobody reads its answer, longer than the silence that is allowed to it."""
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        while True:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _LARGE)
            for _ in range(_LARGE // _PIECE):
                await peer.say(bytes(_PIECE))
                sent += _PIECE

    deadlines = PATIENT._replace(between_s=0.3)
    async with serving(script) as server, opened(open_client) as client:
        async with asked(client, server, deadlines=deadlines) as answer:
            read = 0
            async for chunk in answer.chunks():
                if not read:
                    await asyncio.sleep(0.8)
                    promise(sent < _IN_BETWEEN, f"The server is held up: {sent / MIB:.0f} MiB were sent, none read.")
                read += len(chunk)
        promise(read == _LARGE, "When it is read on, all of it comes.")
        async with asked(client, server, deadlines=deadlines) as answer:
            await asyncio.sleep(0.8)
            promise(sent < _LARGE + _IN_BETWEEN, "So it is while nobody has begun to read.")
            promise(len(await answer.read(_LARGE)) == _LARGE, "What waited is read as a whole, too.")


async def check_slow_server(open_client: OpenClient) -> None:
    """Check that a body is taken from its source only as fast as the server takes it."""
    given, reads = 0, asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(_LARGE // _PIECE):
            given += _PIECE
            yield bytes(_PIECE)

    async def script(peer: Peer) -> None:
        await reads.wait()
        asked_for = await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % len(asked_for.body))

    async with serving(script) as server, opened(open_client) as client:
        task = asyncio.ensure_future(fetched(client, server, method=b"POST", body=source()))
        await until(lambda: given > 0, "The body is asked for.")
        await asyncio.sleep(0.5)
        promise(given < _IN_BETWEEN, f"The source is held up: {given / MIB:.0f} MiB were taken, and none was read.")
        reads.set()
        promise(await task == b"%08d" % _LARGE, "All of it arrives in the end.")


async def check_early_answer(open_client: OpenClient) -> None:
    """Check that a server that answers in the middle of a body and closes is heard."""

    async def source() -> AsyncIterator[bytes]:
        for _ in range(400):
            await asyncio.sleep(0.002)
            yield bytes(1000)

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.say(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge")
        peer.writer.write_eof()
        await peer.gone()

    async with (
        serving(script) as server,
        opened(open_client) as client,
        asked(client, server, method=b"POST", body=source()) as answer,
    ):
        promise(answer.status == 413, "The answer counts, though not all of the body was sent.")
        promise(await answer.read(100) == b"large", "It can be read.")


async def check_sized_source(open_client: OpenClient) -> None:
    """Check that a source that gives more or less than was announced is told, and spoils nothing of other requests."""

    async def source(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with serving(script) as server, opened(open_client) as client:
        for length, parts in ((5, (b"ab", b"c")), (5, ()), (2, (b"ab", b"c")), (2, (b"abc",))):
            try:
                await fetched(client, server, method=b"POST", body=SizedBody(source(*parts), length))
            except BadInput as problem:
                promise(problem.where == "Content-Length", "What is wrong is named.")
            else:
                promise(False, f"{parts!r} are not taken for {length} bytes.")
            promise(await fetched(client, server) == b"ok", "The next request is answered.")
            promise(not server.requests[-1].body, "Nothing is left of the one before.")


async def check_early_answer_to_sized(open_client: OpenClient) -> None:
    """Check that nothing is taken for the rest of a body that was never sent whole."""

    async def source() -> AsyncIterator[bytes]:
        for _ in range(400):
            await asyncio.sleep(0.002)
            yield bytes(1000)

    async def script(peer: Peer) -> None:
        if server.connections == 1:
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\n")
            await asyncio.sleep(0.1)  # by the end of the answer the client has long stopped
            await peer.say(b"large")
            await peer.reader.readexactly(400_000)
        while True:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    async with serving(script) as server, opened(open_client) as client:
        body = SizedBody(source(), 400_000)
        async with asked(client, server, method=b"POST", body=body) as answer:
            promise(answer.status == 413, "The answer counts, though not all of the body was sent.")
            promise(await answer.read(100) == b"large", "It can be read.")
        promise(await fetched(client, server) == b"next", "The next request is answered.")


async def check_growth(open_client: OpenClient, requests: int = 20_000) -> None:
    """Check that memory does not grow with the number of requests."""
    answer = b"HTTP/1.1 200 OK\r\nX-Id: 0123456789\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)
    async with serving(always(answer)) as server, opened(open_client, Limits(connections=8)) as client:
        await _many(client, server, requests // 10)
        before = _resident()
        await _many(client, server, requests)
        grown = _resident() - before
        promise(grown < 8 * MIB, f"{requests} requests leave nothing behind: {grown / MIB:.1f} MiB more are held.")


async def _many(client: Client, server: Server, requests: int) -> None:
    async def some() -> None:
        for _ in range(requests // 16):
            await fetched(client, server, method=b"POST", body=b"x" * 500)
            server.requests.clear()

    await asyncio.gather(*(some() for _ in range(16)))
    gc.collect()


def _resident() -> int:
    """Return the bytes that this process holds; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))
