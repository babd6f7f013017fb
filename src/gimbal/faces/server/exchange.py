"""One HTTP request and its answer over plain ASGI: headers, query, a bounded body, streaming and disconnects.

`app` makes an Exchange and sends the HttpReply that the endpoint returns.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from gimbal.faces.server.unpack import STEP, Unpacking
from gimbal.kernel.errors import BadInput, TooLarge
from gimbal.kernel.http import BodyRoom, HttpReply, HttpRequest, Upload

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MOST_PARAMETERS = 1000
_NO_QUERY: dict[str, list[str]] = {}
_NO_BODY = frozenset({204, 304})
WHOLE = "gimbal.whole"
"""An extension of ASGI: one message for a whole answer, with `status`, `lines` (its headers, ready) and `body`."""

HEADERS = "gimbal.headers"
"""Where the server leaves the headers of a request as text, where it has them so."""

# Pages load only what we serve; nothing is framed by others, and nothing is sniffed.
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
}


@functools.lru_cache(maxsize=64)
def _media_type(said: str) -> str:
    return said.partition(";")[0].strip().lower()


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as text; names come in lower case: so ASGI wants it."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


class Exchange:
    """A request as endpoints see it."""

    def __init__(self, scope: Message, receive: Receive, room: BodyRoom) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
        self.path: str = scope["path"]
        told: dict[str, str] | None = scope.get(HEADERS)
        self.headers = decoded(scope["headers"]) if told is None else told
        self._query_string: bytes = scope["query_string"]
        self.scheme: str = scope.get("scheme", "http")
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        self.parameters: dict[str, str] = {}
        self._receive = receive
        self._room = room
        self._held = 0
        self._ended = False
        self._first: bytes | None = None
        """A piece of the body that was read and not taken."""
        self._gone = False
        self.begun = False
        """Whether something of the answer has been sent."""
        self.takes_whole = WHOLE in (scope.get("extensions") or ())
        """Whether the server takes whole answers."""

    @property
    def target(self) -> str:
        """Path and query as the caller wrote them."""
        path = self.raw_path.decode("latin-1")
        return f"{path}?{self._query_string.decode('latin-1')}" if self._query_string else path

    @property
    def media_type(self) -> str:
        """What the body is, without parameters, in lower case; empty when the caller did not say."""
        said = self.headers.get("content-type")
        return _media_type(said) if said else ""

    def query(self) -> dict[str, list[str]]:
        """Return the values of each query parameter, in order; raise BadInput when it is not UTF-8."""
        values: dict[str, list[str]] = {}
        if not self._query_string:
            return values
        try:
            text = self._query_string.decode()
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
        except UnicodeDecodeError:
            raise BadInput("The query is not UTF-8.", where="query", todo="Percent-encode it as UTF-8.") from None
        except ValueError:
            raise BadInput("The query has too many parameters.", where="query", todo="Ask in parts.") from None
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return values

    def upload(self, limit: int) -> Upload:
        """Return the decompressed body, which refuses to grow past `limit` bytes."""
        said = self.headers.get("content-encoding")
        encoding = said.strip().lower() if said else ""
        plain = encoding in {"identity", ""}
        chunks = self._raw() if plain else self._unpacked(encoding, limit)
        announced = self.headers.get("content-length", "") if plain else ""
        return Upload(
            chunks,
            limit=limit,
            media_type=self.media_type,
            hold=self._hold,
            announced=int(announced) if announced.isdecimal() else None,
            at_once=self._whole if plain else None,
        )

    def _hold(self, size: int) -> None:
        self._room.take(size)
        self._held += size

    def end(self) -> None:
        """Give back the memory of the body: the request is answered."""
        self._room.give_back(self._held)
        self._held = 0

    def request(self, limit: int) -> HttpRequest:
        """Return what a dialect handler gets."""
        query = self.query() if self._query_string else _NO_QUERY
        return HttpRequest(
            method=self.method,
            path=self.path,
            parameters=self.parameters,
            query={name: values[0] for name, values in query.items()} if query else {},
            several={name: values for name, values in query.items() if len(values) > 1} if query else {},
            headers=self.headers,
            body=self.upload(limit),
            disconnected=self.disconnected,
            scheme=self.scheme,
        )

    async def disconnected(self) -> None:
        """Return when the caller has gone away; only sensible once the body has been read."""
        while not self._gone:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
            raise BadInput("The caller went away before the body was complete.", kept="", todo="Send it again.")
        self._ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def _whole(self) -> bytes | None:
        """Return the body where its first piece is all of it; else keep that for `_raw`."""
        if self._ended or self._first is not None:
            return None
        piece = await self._piece()
        if self._ended:
            return piece
        self._first = piece
        return None

    async def _raw(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
            self._first = b""
        while not self._ended:
            if piece := await self._piece():
                yield piece

    async def _unpacked(self, encoding: str, limit: int) -> AsyncIterator[bytes]:
        unpacking = Unpacking(encoding)
        packed = 0
        async for chunk in self._raw():
            # What unpacks to nothing would never reach the limit of what it unpacks to.
            packed += len(chunk)
            if packed > limit + STEP:
                raise TooLarge(f"The packed body is larger than {limit} bytes.", where="body", todo="Send less.")
            for piece in unpacking.feed(chunk):
                yield piece
        unpacking.end()


async def send_reply(reply: HttpReply, exchange: Exchange, send: Send) -> None:
    """Send an answer; a stream is stopped (its generator closed) when the caller goes away."""
    body = reply.body
    if isinstance(body, bytes) and exchange.takes_whole and (lines := _lines(reply)):
        exchange.begun = True
        await send({"type": WHOLE, "status": reply.status, "lines": lines, "body": body})
        return
    headers = _plain_headers(reply.media_type) if reply.status not in _NO_BODY else list(_SECURITY)
    if reply.headers:
        replaced = reply.headers.keys() & _OURS
        if replaced:
            headers = [pair for pair in headers if pair[0].decode() not in replaced]
        if "".join(reply.headers.values()).isprintable():
            headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        else:
            headers += [_header(name, value) for name, value in reply.headers.items()]
    if reply.status not in _NO_BODY and isinstance(body, bytes) and "content-length" not in reply.headers:
        headers.append((b"content-length", b"%d" % len(body)))
    start: Message = {"type": "http.response.start", "status": reply.status, "headers": headers}
    if isinstance(body, bytes):
        exchange.begun = True
        await send(start)
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
    elif exchange.method == "HEAD":
        await _close(body)
        exchange.begun = True
        await send(start)
        await send({"type": "http.response.body", "body": b""})
    else:
        await _stream(start, body, exchange, send)


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    if "\r" in value or "\n" in value or "\0" in value:
        message = f"the header {name} has a line break"
        raise ValueError(message)
    return name.encode("latin-1"), value.encode("latin-1")


_SECURITY = [_header(name, value) for name, value in SECURITY_HEADERS.items()]
_OURS = frozenset({"content-type", *SECURITY_HEADERS})


def _plain_headers(media_type: str) -> list[tuple[bytes, bytes]]:
    known = _KNOWN.get(media_type)
    return [*known] if known else [_header("content-type", media_type), *_SECURITY]


_KNOWN = {name: [_header("content-type", name), *_SECURITY] for name in ("application/json", "text/event-stream")}
"""Those of nearly every answer."""
_KNOWN_LINES = {
    name: "".join([f"{key.decode()}: {value.decode()}\r\n" for key, value in pairs]) for name, pairs in _KNOWN.items()
}
_FRAMING = _OURS | {"content-length", "transfer-encoding", "connection"}


def _lines(reply: HttpReply) -> bytes:
    """Return the headers of an answer as they are sent, where nothing about it is unusual; else nothing."""
    known, given = _KNOWN_LINES.get(reply.media_type), reply.headers
    if known is None or reply.status in _NO_BODY or not _FRAMING.isdisjoint(given):
        return b""
    own = "".join([f"{name}: {value}\r\n" for name, value in given.items()])
    if own.count("\n") != len(given) or own.count("\r") != len(given) or "\0" in own:
        raise ValueError("a header has a line break or a zero byte in it")
    return (known + own).encode("latin-1")


async def _stream(start: Message, chunks: AsyncIterator[bytes], exchange: Exchange, send: Send) -> None:
    iterator = chunks.__aiter__()
    pumping = asyncio.ensure_future(_pump(start, iterator, exchange, send))
    gone = asyncio.ensure_future(exchange.disconnected())
    try:
        await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
        if pumping.done():
            pumping.result()
    finally:
        gone.cancel()
        if not pumping.done():  # the caller went away
            pumping.cancel()
            await asyncio.wait({pumping})
        await _close(iterator)


async def _pump(start: Message, chunks: AsyncIterator[bytes], exchange: Exchange, send: Send) -> None:
    async for chunk in chunks:
        if not exchange.begun:
            # The status goes out only with the first chunk, so that an early error still gets its own.
            exchange.begun = True
            await send(start)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if not exchange.begun:
        exchange.begun = True
        await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close:
        await close()
