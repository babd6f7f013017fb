"""What a client makes of a server that breaks off, talks nonsense, says nothing or is not there."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from math import inf

from gimbal.engines.http.model import Broken, Client, Deadlines, Origin, TooSlow, Unreachable
from gimbal.engines.http.pool import Limits
from gimbal.kernel.errors import BadInput, Unavailable
from gimbal.testing.http_client.server import (
    OK,
    PATIENT,
    OpenClient,
    Peer,
    Server,
    after_each,
    always,
    asked,
    deaf,
    fetched,
    opened,
    serving,
    sockets,
    until,
)  # fmt: skip
from gimbal.testing.promise import promise, refuses

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# What is said, and what of the body comes through before the error.
_BROKEN_OFF = {
    "half a status line": (b"HTTP/1.", b""),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", b""),
    "half a body": (_HEAD + b"12345", b"12345"),
    "half a chunk": (_CHUNKED + b"5\r\nab", b"ab"),
    "chunks without an end": (_CHUNKED + b"2\r\nab\r\n", b"ab"),
    "an interim answer only": (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
}
_NO_HTTP = {
    "a page without a head": b"<html>it works</html>\r\n\r\n",
    "TLS": b"\x15\x03\x03\x00\x02\x02\x28",
    "zero bytes": bytes(100),
    "another version": b"HTTP/7.3 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nthis is no header\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nlevel",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nlevel",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nlevel!",
    "a huge head": b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "a head of many lines": b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 1000 + b"Content-Length: 0\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}
_SOON = PATIENT._replace(between_s=5)
_NO_CHUNKS = {
    "a size that is none": _CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": _CHUNKED + b"2\r\nabcdef\r\n0\r\n\r\n",
    "a huge trailer": _CHUNKED + b"1\r\na\r\n0\r\nX-Huge: " + b"x" * 1_000_000 + b"\r\n\r\n",
}


async def check_breaks(open_client: OpenClient) -> None:
    """Check that a connection that ends too early is Broken; what came before is given, and `begun` is true."""
    for what, (sent, body) in _BROKEN_OFF.items():
        async with serving(after_each(sent)) as server, opened(open_client) as client:
            problem = await _broken(lambda client=client, server=server: fetched(client, server), what)
            promise(problem.begun, f"A byte of an answer had come ({what}).")
            promise(len(server.requests) == 1, f"What had an answer begun is not sent again ({what}).")
            if body:
                came: list[bytes] = []
                await _broken(lambda client=client, server=server, came=came: _streamed(client, server, came), what)
                promise(b"".join(came) == body, f"What had come before is given ({what}: {came!r}).")
    async with serving(after_each()) as server, opened(open_client) as client:
        problem = await _broken(lambda: fetched(client, server), "no byte")
        promise(not problem.begun, "No byte of an answer had come.")
        promise(len(server.requests) == 1, "A connection that was made for a request is not replaced.")
    async with serving(_resets(after=b"")) as server, opened(open_client) as client:
        problem = await _broken(lambda: fetched(client, server), "a reset")
        promise(not problem.begun, "A reset before the first byte is not the beginning of an answer.")
    async with serving(_resets(after=_HEAD + b"123")) as server, opened(open_client) as client:
        problem = await _broken(lambda: fetched(client, server), "a reset in the middle")
        promise(problem.begun, "A reset in the middle comes after a byte of the answer.")
    async with serving(_resets(after=b"HTTP/1.1 200 OK\r\n\r\nabc")) as server, opened(open_client) as client:
        await _broken(lambda: fetched(client, server), "a reset is no end of a body that ends with its connection")


async def check_garbage(open_client: OpenClient) -> None:
    """Check that what is no HTTP is Broken, in words; heads and trailers have a largest size."""
    for what, sent in (_NO_HTTP | _NO_CHUNKS).items():
        async with serving(always(sent)) as server, opened(open_client) as client:
            problem = await _broken(lambda client=client, server=server: fetched(client, server, deadlines=_SOON), what)
            promise(problem.begun, f"Something had come ({what}).")
            promise(str(server.origin.port) in problem.where, f"The error names who sent it ({what}).")
            await until(lambda server=server: server.open == 0, f"The connection is closed ({what}).")


async def check_deadlines(open_client: OpenClient) -> None:
    """Check that each deadline ends a request in time and says which it was; the connection is closed by it."""
    late = PATIENT
    cases = (
        ("first_byte", late._replace(first_byte_s=0.15), (), 0),
        ("between", late._replace(between_s=0.15), (_HEAD, b"1"), 0),
        ("between", late._replace(between_s=0.15), (b"HTTP/1.1 2",), 0),
        ("total", late._replace(total_s=0.3), (_CHUNKED,), 0.02),
        ("total", late._replace(total_s=0.15), (), 0),
    )
    for phase, deadlines, said, beat in cases:
        async with serving(_slow(said, beat)) as server, opened(open_client) as client:
            started = time.monotonic()
            problem = await _late(lambda c=client, s=server, d=deadlines: fetched(c, s, deadlines=d), phase)
            took = time.monotonic() - started
            promise(problem.phase == phase, f"{phase} is what had passed, not {problem.phase}.")
            promise(0.1 < took < 3, f"The deadline {phase} ends a request in time, not after {took:.2f} s.")
            await until(lambda s=server: s.open == 0, f"After {phase} the connection is closed.")
    never = Deadlines(connect_s=inf, first_byte_s=inf, between_s=inf, total_s=inf)
    async with serving(always(OK)) as server, opened(open_client, Limits(connections=1)) as client:
        got = await asyncio.gather(*(fetched(client, server, deadlines=never) for _ in range(5)))
        promise(got == [b"ok"] * 5, "There may be no deadline at all.")
    quiet = late._replace(first_byte_s=2, between_s=2)
    async with serving(_slow((_CHUNKED,), 0.02, beats=10)) as server, opened(open_client) as client:
        promise(await fetched(client, server, deadlines=quiet) == b"x" * 10, "Slow is not silent.")
        promise(await fetched(client, server, deadlines=quiet) == b"x" * 10, "Nor is it the second time.")


async def check_reach(open_client: OpenClient) -> None:
    """Check that where no connection can be had it is Unreachable, or TooSlow when that took too long; nothing leaks."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    before = sockets()
    async with opened(open_client) as client:
        for origin, words in (
            (Origin("http", "127.0.0.1", closed), "A port where nobody listens"),
            (Origin("http", "no-such-host.invalid", 80), "A name that nobody has"),
            (Origin("https", "no-such-host.invalid", 443), "A name that nobody has, over TLS,"),
            (Origin("http", "a..b", 80), "A name that is none"),
        ):
            try:
                await client.send(b"GET", origin, b"/", (), deadlines=PATIENT)
            except Unreachable as problem:
                promise(origin.host in problem.message, f"{words} is named: {problem}.")
            else:
                raise AssertionError(f"{words} is unreachable.")
    with deaf() as port:
        async with opened(open_client) as client:
            deadlines = PATIENT._replace(connect_s=0.2)
            problem = await _late(
                lambda: client.send(b"GET", Origin("http", "127.0.0.1", port), b"/", (), deadlines=deadlines), "connect"
            )
            promise(problem.phase == "connect", "It was the connection that took too long.")
    await until(lambda: sockets() <= before, "No socket is left of connections that never were.")


async def check_refusals(open_client: OpenClient) -> None:
    """Check that what would smuggle something into a request is refused, and nothing of it is sent."""
    bad: dict[str, dict[str, object]] = {
        "a line break in a value": {"headers": [(b"x-a", b"1\r\nx-b: 2")]},
        "a bare line feed in a value": {"headers": [(b"x-a", b"1\nx-b: 2")]},
        "a bare carriage return in a value": {"headers": [(b"x-a", b"1\rx")]},
        "a zero byte in a value": {"headers": [(b"x-a", b"1\0")]},
        "a line break in a name": {"headers": [(b"x-a: 1\r\nx-b", b"2")]},
        "a colon in a name": {"headers": [(b"x:a", b"2")]},
        "an empty name": {"headers": [(b"", b"2")]},
        "a length of one's own": {"headers": [(b"Content-Length", b"0")]},
        "a framing of one's own": {"headers": [(b"transfer-encoding", b"chunked")]},
        "a host of one's own": {"headers": [(b"host", b"x")]},
        "a line break in the target": {"target": b"/ HTTP/1.1\r\nx-b: 2\r\n\r\n"},
        "a space in the target": {"target": b"/a b"},
        "a target that is a URL": {"target": b"http://elsewhere/"},
        "an empty target": {"target": b""},
        "a method that is none": {"method": b"GET / HTTP/1.1\r\nx: y\r\n\r\nGET"},
    }
    async with serving(always(OK)) as server, opened(open_client) as client:
        for what, change in bad.items():
            with refuses(BadInput, f"A request with {what} is refused."):
                await client.send(**_request(server.origin) | change)  # type: ignore[arg-type]
        for origin in (
            Origin("ftp", "127.0.0.1", 21), Origin("http", "127.0.0.1", 0), Origin("http", "a\r\nb", 80),
            Origin("http", "a/b", 80), Origin("http", "", 80), Origin("http", "u@127.0.0.1", 80),
        ):  # fmt: skip
            with refuses(BadInput, f"{origin} is refused."):
                await client.send(**_request(origin))  # type: ignore[arg-type]
        promise(server.connections == 0, "Nothing of what was refused has been sent.")
        promise(await fetched(client, server) == b"ok", "The client works on.")


async def check_closing(open_client: OpenClient) -> None:
    """Check that a client that is closed closes its connections, those in use too, and sends nothing any more."""
    before = sockets()
    async with serving(_slow((_HEAD, b"1"), 0)) as server:
        client = open_client(Limits(), ca_file="")
        answers = [await client.send(**_request(server.origin)) for _ in range(3)]  # type: ignore[arg-type]
        await client.aclose()
        await until(lambda: server.open == 0, "Every connection is closed with the client.")
        with refuses(Unavailable, "A closed client sends nothing."):
            await client.send(**_request(server.origin))  # type: ignore[arg-type]
        for answer in answers:
            await answer.aclose()
            await answer.aclose()
        await client.aclose()
    await until(lambda: sockets() <= before, "No socket is left.")


def _request(origin: Origin) -> dict[str, object]:
    return {"method": b"GET", "origin": origin, "target": b"/", "headers": [], "deadlines": PATIENT}


def _resets(after: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        await peer.request()
        if after:
            await peer.say(after)
            # What lies unread when the reset comes is lost.
            await asyncio.sleep(0.1)
        peer.reset()

    return script


def _slow(said: tuple[bytes, ...], beat: float, *, beats: int = 10_000) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for piece in said:
                await peer.say(piece)
            if not beat:
                await peer.gone()
                return
            for _ in range(beats):
                await peer.say(b"1\r\nx\r\n")
                await asyncio.sleep(beat)
            await peer.say(b"0\r\n\r\n")

    return script


async def _streamed(client: Client, server: Server, came: list[bytes]) -> None:
    async with asked(client, server) as answer:
        async for chunk in answer.chunks():
            came += [chunk]


async def _broken(act: Callable[[], Awaitable[object]], what: str) -> Broken:
    try:
        await act()
    except Broken as problem:
        return problem
    except TooSlow:
        raise AssertionError(f"What is wrong is Broken at once, and not waited for ({what}).") from None
    raise AssertionError(f"An answer that breaks off or is none is Broken ({what}).")


async def _late(act: Callable[[], Awaitable[object]], what: str) -> TooSlow:
    try:
        await act()
    except TooSlow as problem:
        return problem
    raise AssertionError(f"The deadline {what} ends a request.")
