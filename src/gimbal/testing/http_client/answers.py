"""What of an answer comes through: every way to frame a body, in one piece and byte by byte, and every encoding."""

import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from gimbal.engines.http.model import Client, SizedBody
from gimbal.kernel.errors import Upstream
from gimbal.testing.http_client.server import (
    OpenClient,
    Peer,
    Script,
    Server,
    after_each,
    asked,
    fetched,
    opened,
    serving,
)
from gimbal.testing.promise import promise, refuses

_TEXT = b"Gimbal keeps both rings level. " * 40


class _Framed(NamedTuple):
    """One way to send an answer."""

    what: str
    sent: bytes
    body: bytes
    kept: bool = True
    """Whether the connection can be used again."""
    method: bytes = b"GET"
    status: int = 200


def _chunked(*pieces: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    lines = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join(lines) + b"0%b\r\n%b\r\n" % (extension, trailer)


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlevel"
FRAMINGS = (
    _Framed("content-length", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_TEXT), _TEXT), _TEXT),
    _Framed("an empty body", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    _Framed("chunks", _CHUNKED + _chunked(b"both ", b"rings", _TEXT), b"both rings" + _TEXT),
    _Framed("no chunk", _CHUNKED + _chunked(), b""),
    _Framed("chunk extensions", _CHUNKED + _chunked(b"a", b"bc", extension=b';x="y z"'), b"abc"),
    _Framed("trailers", _CHUNKED + _chunked(b"abc", trailer=b"Checked: yes\r\nX-Sum: 9\r\n"), b"abc"),
    _Framed("the end of the connection", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + _TEXT, _TEXT, kept=False),
    _Framed("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlevel", b"level", kept=False),
    _Framed("connection: close", b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nlevel", b"level", kept=False),
    _Framed("204", b"HTTP/1.1 204 No Content\r\n\r\n", b"", status=204),
    _Framed("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b"", status=304),
    _Framed("HEAD with a length", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b"", method=b"HEAD"),
    _Framed("HEAD in chunks", _CHUNKED, b"", method=b"HEAD"),
    _Framed("no reason phrase", b"HTTP/1.1 429 \r\nContent-Length: 2\r\n\r\nno", b"no", status=429),
    _Framed("interim answers", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _SHORT, b"level"),
)  # fmt: skip


async def check_framings(open_client: OpenClient) -> None:
    """Check that every framing is read to its end and no further, and the connection is used again exactly where it can be."""
    for framed in FRAMINGS:
        for size in (len(framed.sent), 1, 7):

            async def script(peer: Peer, framed: _Framed = framed, size: int = size) -> None:
                while True:
                    await peer.request()
                    for start in range(0, len(framed.sent), size):
                        await peer.say(framed.sent[start : start + size])
                    if not framed.kept:
                        return

            async with serving(script) as server, opened(open_client) as client:
                how = f"{framed.what}, {size} bytes at a time"
                await _read_twice(client, server, framed, how)
                promise(
                    server.connections == (1 if framed.kept else 2),
                    f"A connection is used again if and only if its answer allows it ({how}: {server.connections}).",
                )


async def _read_twice(client: Client, server: Server, framed: _Framed, how: str) -> None:
    async with asked(client, server, method=framed.method) as answer:
        promise(answer.status == framed.status, f"The status is the last answer's ({how}: {answer.status}).")
        promise(await answer.read(1 << 20) == framed.body, f"A body comes through as it was sent ({how}).")
        promise(await answer.read(1 << 20) == b"", f"What was read is not read again ({how}).")
    async with asked(client, server, method=framed.method) as answer:
        body = b"".join([chunk async for chunk in answer.chunks()])
        promise(body == framed.body, f"A body that is read in chunks comes through as it was sent ({how}).")


async def check_heads(open_client: OpenClient) -> None:
    """Check that headers come in order with names in lower case, repeated ones too, and bytes that are no text survive."""
    sent = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: a=1\r\nx-empty:\r\nSet-Cookie: b=2\r\nX-Raw: \xff\xe9 z\r\nContent-Length: 0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(sent)

    async with serving(script) as server, opened(open_client) as client, asked(client, server) as answer:
        expected = [(b"x-a", b"1"), (b"set-cookie", b"a=1"), (b"x-empty", b""), (b"set-cookie", b"b=2"),
                    (b"x-raw", b"\xff\xe9 z"), (b"content-length", b"0")]  # fmt: skip
        promise(list(answer.headers) == expected, f"Headers come as they were sent: {answer.headers!r}.")
        promise(answer.header(b"set-cookie") == b"a=1", "The first of several values is returned.")
        promise(answer.header(b"x-none") == b"", "A header that is not there is empty.")


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


async def check_encodings(open_client: OpenClient) -> None:
    """Check that packed bodies are unpacked, in bounded steps; what cannot be unpacked is Upstream's fault and says so."""
    good = {b"gzip": gzip.compress(_TEXT), b"x-gzip": gzip.compress(_TEXT[:100]) + gzip.compress(_TEXT[100:]),
            b"deflate": zlib.compress(_TEXT), b"Deflate": _bare(_TEXT), b"identity": _TEXT}  # fmt: skip
    for encoding, packed in good.items():
        async with serving(_packed(encoding, packed)) as server, opened(open_client) as client:
            promise(await fetched(client, server) == _TEXT, f"A body in {encoding!r} is unpacked.")
            async with asked(client, server) as answer:
                body = b"".join([chunk async for chunk in answer.chunks()])
                promise(body == _TEXT, f"A body in {encoding!r} is unpacked as it comes.")
            promise(server.connections == 1, "A packed body leaves the connection in order.")
    bad = {b"gzip": gzip.compress(_TEXT)[:-9], b"deflate": b"\xff\xff\xff" + _TEXT, b"br": b"\x0b\x02\x80hi\x03"}
    for encoding, packed in bad.items():
        async with serving(_packed(encoding, packed)) as server, opened(open_client) as client:
            with refuses(Upstream, f"A body that is not {encoding!r} or not known is refused."):
                await fetched(client, server)
            with refuses(Upstream, "What was refused once is not given the second time."):
                async with asked(client, server) as answer:
                    with contextlib.suppress(Upstream):
                        await answer.read(1 << 20)
                    await answer.read(1 << 20)
            with refuses(Upstream, f"A stream that is not {encoding!r} or not known is refused."):
                async with asked(client, server) as answer:
                    _ = [chunk async for chunk in answer.chunks()]
    for coding in (b"gzip", b"gzip, chunked"):
        sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n%b" % (coding, _chunked(gzip.compress(_TEXT)))
        async with serving(after_each(sent)) as server, opened(open_client) as client:
            with refuses(Upstream, f"A body transferred as {coding!r} is not taken for what it is not."):
                await fetched(client, server)
    bomb = gzip.compress(bytes(50_000_000))
    async with serving(_packed(b"gzip", bomb)) as server, opened(open_client) as client:
        async with asked(client, server) as answer:
            with refuses(Upstream, "A small body that stands for a large one is refused as a large one."):
                await answer.read(1_000_000)
        async with asked(client, server) as answer:
            async for chunk in answer.chunks():
                promise(len(chunk) <= 1 << 17, f"What a body stands for comes in small steps, not {len(chunk)} bytes.")


def _packed(encoding: bytes, packed: bytes) -> Script:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(packed))

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            half = len(packed) // 2
            await peer.say(head + packed[:half])
            await peer.say(packed[half:])

    return script


async def check_limits(open_client: OpenClient) -> None:
    """Check that a body is read up to the limit of whoever reads it, whether its length was told before or not."""
    for head, body in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", bytes(300_000)),
        (_CHUNKED, _chunked(bytes(100_000), bytes(200_000))),
        (b"HTTP/1.1 200 OK\r\n\r\n", bytes(300_000)),
    ):

        async def script(peer: Peer, sent: bytes = head + body) -> None:
            await peer.request()
            await peer.say(sent)

        async with serving(script) as server, opened(open_client) as client:
            async with asked(client, server) as answer:
                promise(len(await answer.read(300_000)) == 300_000, "A body as large as the limit is read.")
            async with asked(client, server) as answer:
                with refuses(Upstream, "A body larger than the limit is refused."):
                    await answer.read(299_999)


async def check_requests(open_client: OpenClient) -> None:
    """Check that a request goes out as it was given: line, headers in order, length or chunks, no more."""
    headers = ((b"Authorization", b"Bearer x"), (b"x-twice", b"1"), (b"x-twice", b"2"))
    large = bytes(range(256)) * 20_000

    async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    sent = (
        (b"GET", b"", b"", {}), (b"DELETE", b"", b"", {}), (b"POST", b"", b"", {b"content-length": b"0"}),
        (b"POST", b"{}", b"{}", {b"content-length": b"2"}), (b"PUT", large, large, {b"content-length": b"%d" % len(large)}),
        (b"POST", pieces(b"a", b"", b"bc"), b"abc", {b"transfer-encoding": b"chunked"}),
        (b"GET", pieces(), b"", {}), (b"HEAD", pieces(b""), b"", {}),
        (b"DELETE", pieces(b"", b"a", b"b"), b"ab", {b"transfer-encoding": b"chunked"}),
        (b"POST", pieces(), b"", {b"transfer-encoding": b"chunked"}),
        (b"PATCH", pieces(large, large), large * 2, {b"transfer-encoding": b"chunked"}),
        (b"POST", SizedBody(pieces(b"a", b"", b"bc"), 3), b"abc", {b"content-length": b"3"}),
        (b"PUT", SizedBody(pieces(large, b"x"), len(large) + 1), large + b"x", {b"content-length": b"%d" % (len(large) + 1)}),
        (b"POST", SizedBody(pieces(), 0), b"", {b"content-length": b"0"}),
        (b"DELETE", SizedBody(pieces(b"abc"), 3), b"abc", {b"content-length": b"3"}),
    )  # fmt: skip
    async with serving(script) as server, opened(open_client) as client:
        for method, body, expected, framing in sent:
            await fetched(client, server, method=method, headers=headers, body=body)
            got = server.requests[-1]
            promise(got.line == method + b" /v1/x?y=%20z HTTP/1.1", f"The line is what was asked for: {got.line!r}.")
            promise(got.body == expected, f"The body of a {method!r} arrives as it was given.")
            host = b"127.0.0.1:%d" % server.origin.port
            promise(got.header(b"host") == host, "The host is the origin's.")
            given = [one for one in got.headers if one[0].lower() not in {b"host", *framing}]
            promise(given == list(headers), f"No header is added or changed: {got.headers!r}.")
            told = {name: got.header(name) for name in (b"content-length", b"transfer-encoding") if got.header(name)}
            promise(told == framing, f"A body says how long it is: {told!r}.")
        promise(server.connections == 1, "All of them fit on one connection.")
