"""A server on loopback that says exactly the bytes of a script: what no library would send has to be sent too."""

import asyncio
import contextlib
import os
import socket
import ssl
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from gimbal.engines.http.model import Client, Deadlines, HeaderList, Origin, Response
from gimbal.engines.http.pool import DEFAULT_LIMITS, Limits

PATIENT = Deadlines(connect_s=10, first_byte_s=10, between_s=10, total_s=60)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class OpenClient(Protocol):
    """Makes a client to be checked."""

    def __call__(self, limits: Limits, *, ca_file: str = "") -> Client:
        """Return a client with these limits that trusts a file of certificates."""
        ...


class Request(NamedTuple):
    """A request as it came."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header."""
        return next((value for one, value in self.headers if one.lower() == name), b"")


class Peer:
    """The server's side of one connection."""

    def __init__(self, server: "Server", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.asked = 0
        """Requests that have come over this connection."""

    async def request(self) -> Request:
        """Read a request; raise EOFError when the caller has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *rest = head[:-4].split(b"\r\n")
        headers = [(name, value.strip()) for name, _, value in (one.partition(b":") for one in rest)]
        asked = Request(line, headers, b"")
        if asked.header(b"transfer-encoding") == b"chunked":
            body = await self._chunks()
        else:
            body = await self.reader.readexactly(int(asked.header(b"content-length") or 0))
        self.asked += 1
        self.server.requests.append(asked._replace(body=body))
        return self.server.requests[-1]

    async def say(self, data: bytes) -> None:
        """Send bytes, and wait until the network has taken them."""
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Return when the caller has closed the connection."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """End the connection with a reset."""
        held = self.writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        while size := int(await self.reader.readline(), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readline()
        return b"".join(pieces)


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """What a scripted server has seen."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        """Connections that are open now."""
        self.open_at_most = 0
        self.listener: asyncio.Server | None = None

    def stop(self) -> None:
        """Let nobody in any more; who is in stays."""
        if self.listener is not None:
            self.listener.close()


def always(answer: bytes) -> Script:
    """Return a script that says the same to every request."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(answer)

    return script


def after_each(*answers: bytes) -> Script:
    """Return a script that waits for a request, says the pieces one after the other, and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for piece in answers:
            await peer.say(piece)
            await asyncio.sleep(0)

    return script


@contextlib.asynccontextmanager
async def serving(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Run a script for every connection; at the end all are closed."""
    running: set[asyncio.Task[None]] = set()
    seen: Server

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        seen.connections += 1
        seen.open += 1
        seen.open_at_most = max(seen.open_at_most, seen.open)
        try:
            await script(Peer(seen, reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            seen.open -= 1
            running.discard(task)
            writer.close()

    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    seen = Server(Origin("https" if tls else "http", host, listener.getsockname()[1]))
    server = seen.listener = await asyncio.start_server(met, sock=listener, ssl=tls)
    try:
        yield seen
    finally:
        server.close()
        left = tuple(running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        listener.close()


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """Give a port whose listener never accepts, and whose queue is full: packets to it are lost."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as fillers:
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@contextlib.asynccontextmanager
async def opened(
    open_client: OpenClient, limits: Limits = DEFAULT_LIMITS, *, ca_file: str = ""
) -> AsyncIterator[Client]:
    """Open a client and close it."""
    client = open_client(limits, ca_file=ca_file)
    try:
        yield client
    finally:
        await client.aclose()


@contextlib.asynccontextmanager
async def asked(
    client: Client, server: Server, *, method: bytes = b"GET", headers: HeaderList = (),
    body: bytes | AsyncIterator[bytes] = b"", deadlines: Deadlines = PATIENT,
) -> AsyncIterator[Response]:  # fmt: skip
    """Send a request and close its answer at the end."""
    answer = await client.send(method, server.origin, b"/v1/x?y=%20z", headers, body, deadlines=deadlines)
    try:
        yield answer
    finally:
        await answer.aclose()


async def fetched(
    client: Client, server: Server, *, method: bytes = b"GET", headers: HeaderList = (),
    body: bytes | AsyncIterator[bytes] = b"", deadlines: Deadlines = PATIENT,
) -> bytes:  # fmt: skip
    """Return the body of an answer."""
    async with asked(client, server, method=method, headers=headers, body=body, deadlines=deadlines) as answer:
        return await answer.read(1 << 30)


async def until(condition: Callable[[], bool], words: str, seconds: float = 10.0) -> None:
    """Wait for a condition; raise AssertionError with `words` when it does not come."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(words) from None


def sockets() -> int:
    """Count the sockets that this process has open."""
    count = 0
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            count += stat.S_ISSOCK(os.fstat(int(path.name)).st_mode)
    return count
