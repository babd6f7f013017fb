"""Connections that never come to the point are given up; those that do are not, however slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from gimbal.faces.server import patience
from gimbal.faces.server.patience import PatientProtocol

Message = dict[str, Any]


async def echo(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """Answer with the length of the body."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else str(size % 10).encode()})


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, int]]:
    """Serve on a free port, with little patience."""
    monkeypatch.setattr(patience, "HEAD_S", 0.3)
    monkeypatch.setattr(patience, "BODY_S", 0.5)
    config = uvicorn.Config(
        echo, port=0, timeout_keep_alive=1, http=PatientProtocol, lifespan="off", log_level="warning", ws="none"
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    await task


@pytest.mark.parametrize(
    "said", [b"", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234"]
)
async def test_a_request_that_does_not_come_is_given_up(address: tuple[str, int], said: bytes) -> None:
    """Nothing at all, half a head, half a body."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(said)
    async with asyncio.timeout(20):
        assert b"200" not in await reader.read()
    writer.close()


async def test_a_head_that_trickles_is_given_up(address: tuple[str, int]) -> None:
    """A byte now and then is no progress."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST / HTTP/1.1\r\n")
    gone = asyncio.ensure_future(reader.read())
    async with asyncio.timeout(20):
        while not gone.done():
            writer.write(b"X")
            await asyncio.wait({gone}, timeout=0.05)
    assert gone.result() == b""
    writer.close()


async def test_a_slow_body_is_waited_for_and_the_connection_serves_on(address: tuple[str, int]) -> None:
    """As long as there is a byte within the limit; the next request has its own time."""
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(2):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n")
        for byte in b"1234567":
            await asyncio.sleep(0.1)  # in all longer than either limit
            writer.write(bytes([byte]))
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n\r\n7")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_head_without_a_body_goes_out_by_itself(address: tuple[str, int]) -> None:
    """Whoever asks for the head alone gets it, and the connection serves on."""
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(2):
        writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n123")
    async with asyncio.timeout(20):
        assert (await reader.readuntil(b"\r\n\r\n3")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_requests_that_come_close_behind_each_other_are_answered_in_order(address: tuple[str, int]) -> None:
    """Each with its own head, heads alone among them."""
    reader, writer = await asyncio.open_connection(*address)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    writer.write(post % (2, b"12") + b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + post % (4, b"1234"))
    async with asyncio.timeout(20):
        for body in (b"2", b"", b"4"):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(len(body)) == body
    writer.close()


async def test_a_kept_connection_is_given_up_after_a_while(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing more is asked by it."""
    monkeypatch.setattr(patience, "LOOK_S", 0.1)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
    async with asyncio.timeout(20):
        assert (await reader.read()).endswith(b"\r\n\r\n1")
    writer.close()
