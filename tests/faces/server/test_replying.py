"""Answers as they stand on the wire: heads, lengths, chunks, ends that come too early, and readers who are slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from gimbal.faces.server.exchange import WHOLE
from gimbal.faces.server.patience import PatientProtocol

Message = dict[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]


class Scripted:
    """An application that does what a test says."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the path says."""
        await getattr(self, scope["path"].strip("/"))(scope, receive, send)

    async def whole(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a body of a told length."""
        await send(start([(b"content-length", b"5"), (b"x-kind", b"whole")]))
        await send(part(b"hello"))

    async def ready(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a whole answer with headers that are lines already."""
        assert WHOLE in scope["extensions"]
        await send({"type": WHOLE, "status": 200, "lines": b"x-kind: ready\r\n", "body": b"hello"})

    async def twice(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a second time."""
        await self.ready(scope, receive, send)
        await self.ready(scope, receive, send)

    async def large(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a body that is not copied behind its head."""
        body = b"0123456789" * 100_000
        await send(start([(b"content-length", b"%d" % len(body))]))
        await send(part(body))

    async def stream(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a body of no told length."""
        await send(start([(b"content-type", b"text/plain")]))
        for word in (b"one ", b"", b"two"):
            await send(part(word, more=True))
        await send(part(b""))

    async def broken(self, scope: Message, receive: Receive, send: Send) -> None:
        """Begin a stream that does not come to its end."""
        await send(start([]))
        await send(part(b"half", more=True))

    async def short(self, scope: Message, receive: Receive, send: Send) -> None:
        """Less than was told."""
        await send(start([(b"content-length", b"9")]))
        await send(part(b"less"))

    async def split(self, scope: Message, receive: Receive, send: Send) -> None:
        """Try to send a header that would be two."""
        await send(start([(b"x-a", b"1\r\nx-b: 2"), (b"content-length", b"0")]))
        await send(part(b""))

    async def empty(self, scope: Message, receive: Receive, send: Send) -> None:
        """No body, and none is told."""
        await send(start([], status=204))
        await send(part(b""))

    async def closing(self, scope: Message, receive: Receive, send: Send) -> None:
        """Give the last answer of its connection."""
        await send(start([(b"content-length", b"3"), (b"connection", b"close")]))
        await send(part(b"bye"))

    async def endless(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send a stream whose source never waits."""
        await send(start([]))
        for _ in range(200_000):
            await send(part(b"x" * 1024, more=True))
            self.sent += 1
        await send(part(b""))


def start(headers: list[tuple[bytes, bytes]], status: int = 200) -> Message:
    """Return the message that begins an answer."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def part(body: bytes, *, more: bool = False) -> Message:
    """Return a part of a body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.fixture
def app() -> Scripted:
    """Return the application."""
    return Scripted()


@pytest.fixture
async def address(app: Scripted) -> AsyncIterator[tuple[str, int]]:
    """Serve it on a free port."""
    config = uvicorn.Config(
        app, port=0, http=PatientProtocol, lifespan="off", log_level="critical", ws="none", date_header=False
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    await task


async def asked(address: tuple[str, int], path: str, *, method: str = "GET", version: str = "1.1") -> bytes:
    """Ask once, and return all that comes until the connection ends, or until a second answer has come."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"{method} /{path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    if version == "1.1":
        writer.write(b"GET /closing HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(20):
        found = await reader.read()
    writer.close()
    return found


LAST = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbye"


async def test_a_whole_answer_and_the_next(address: tuple[str, int]) -> None:
    """To the byte."""
    head = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: 5\r\nx-kind: whole\r\n\r\n"
    assert await asked(address, "whole") == head + b"hello" + LAST
    assert await asked(address, "whole", method="HEAD") == head + LAST
    large = await asked(address, "large")
    assert large.partition(b"\r\n\r\n")[2] == b"0123456789" * 100_000 + LAST


async def test_a_whole_answer_in_one_message(address: tuple[str, int]) -> None:
    """As it would be in two; a second one is none."""
    head = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\nx-kind: ready\r\ncontent-length: 5\r\n"
    assert await asked(address, "ready") == head + b"\r\nhello" + LAST
    assert await asked(address, "ready", method="HEAD") == head + b"\r\n" + LAST
    assert await asked(address, "ready", version="1.0") == head + b"connection: close\r\n\r\nhello"
    assert await asked(address, "twice") == head + b"\r\nhello" + LAST


async def test_a_stream_in_chunks(address: tuple[str, int]) -> None:
    """A part without bytes is none: it would be the end."""
    found = await asked(address, "stream")
    assert found == (
        b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
        b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n" + LAST
    )


async def test_a_stream_to_a_client_that_knows_no_chunks(address: tuple[str, int]) -> None:
    """The end of the connection is the end of the body."""
    found = await asked(address, "stream", version="1.0")
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"one two"


async def test_an_answer_without_a_body(address: tuple[str, int]) -> None:
    """Tells no length and sends no chunk."""
    assert await asked(address, "empty") == b"HTTP/1.1 204 No Content\r\nserver: uvicorn\r\n\r\n" + LAST


async def test_a_stream_that_breaks_off(address: tuple[str, int]) -> None:
    """What was said arrives, and that it is not all can be seen."""
    found = await asked(address, "broken")
    assert found.endswith(b"4\r\nhalf\r\n")


async def test_a_body_that_is_too_short(address: tuple[str, int]) -> None:
    """The connection ends: no other answer is taken for the rest of it."""
    found = await asked(address, "short")
    assert not found.endswith(LAST)


async def test_a_header_with_a_line_break_is_not_sent(address: tuple[str, int]) -> None:
    """Whoever put it there cannot write headers of their own."""
    found = await asked(address, "split")
    assert found.startswith(b"HTTP/1.1 500")
    assert b"x-b" not in found


async def test_a_slow_reader_slows_the_source(address: tuple[str, int], app: Scripted) -> None:
    """Even one that never waits by itself; what is held is a fraction of the whole."""
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    before = -1
    async with asyncio.timeout(30):
        while app.sent != before or not app.sent:
            before = app.sent
            await asyncio.sleep(0.2)
    assert app.sent < 40_000  # what the kernel's buffers of both sides take, of 200,000
    taken = await reader.readexactly(1024 * 1024)
    assert taken.startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(30):
        while app.sent == before:
            taken = await reader.readexactly(1024 * 1024)
    writer.transport.abort()
