"""One HTTP request and its answer over plain ASGI: headers, query, a bounded body, streaming and disconnects.

`app` makes an Exchange and sends the HttpReply that the endpoint returns.
"""

import asyncio
import contextlib
import importlib
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from gimbal.kernel.errors import BadInput, CorruptUpload, WrongMediaType
from gimbal.kernel.http import HttpReply, HttpRequest, Upload

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Pages load only what we serve; nothing is framed by others, and nothing is sniffed.
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
}


class Exchange:
    """A request as endpoints see it."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
        self.path: str = scope["path"]
        self.headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.scheme: str = scope.get("scheme", "http")
        client = scope.get("client")
        self.client: str = client[0] if client else ""
        self.parameters: dict[str, str] = {}
        self._receive = receive
        self._ended = False
        self._gone = asyncio.Event()

    def query(self) -> dict[str, list[str]]:
        """Return the values of each query parameter, in order."""
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.query_string, keep_blank_values=True):
            values.setdefault(name, []).append(value)
        return values

    def upload(self, limit: int) -> Upload:
        """Return the decompressed body, which refuses to grow past `limit` bytes."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Upload(self._decoded(), limit=limit, media_type=media_type)

    def request(self, limit: int) -> HttpRequest:
        """Return what a dialect handler gets."""
        return HttpRequest(
            method=self.method,
            path=self.path,
            parameters=self.parameters,
            query={name: values[0] for name, values in self.query().items()},
            headers=self.headers,
            body=self.upload(limit),
            disconnected=self.disconnected,
        )

    async def disconnected(self) -> None:
        """Return when the caller has gone away; only sensible once the body has been read."""
        while not self._gone.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()

    async def _raw(self) -> AsyncIterator[bytes]:
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()
                raise BadInput("The caller went away before the body was complete.", kept="", todo="Send it again.")
            self._ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def _decoded(self) -> AsyncIterator[bytes]:
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"identity", ""}:
            async for chunk in self._raw():
                yield chunk
            return
        inflate = _decompressor(encoding)
        try:
            async for chunk in self._raw():
                # Small steps keep a compressed bomb from unfolding before the limit is checked.
                for start in range(0, len(chunk), 65_536):
                    if piece := inflate(chunk[start : start + 65_536]):
                        yield piece
        except (zlib.error, OSError, ValueError, EOFError) as problem:
            raise CorruptUpload(
                f"The body is not valid {encoding}: {problem}.", where="body", todo="Send it again."
            ) from None


def _decompressor(encoding: str) -> Callable[[bytes], bytes]:
    if encoding in {"gzip", "deflate"}:
        return zlib.decompressobj(wbits=47).decompress
    if encoding == "zstd":
        # Only OTLP senders use it; not worth its import at every start. In the standard library from 3.14.
        zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        return zstd.ZstdDecompressor().decompress
    raise WrongMediaType(f"The encoding {encoding!r} is not read here.", todo="Send gzip, zstd, deflate or identity.")


async def send_reply(reply: HttpReply, exchange: Exchange, send: Send) -> None:
    """Send an answer; a stream is stopped (its generator closed) when the caller goes away."""
    headers = {"content-type": reply.media_type, **SECURITY_HEADERS, **reply.headers}
    body = reply.body
    if isinstance(body, bytes):
        headers["content-length"] = str(len(body))
    start: Message = {
        "type": "http.response.start",
        "status": reply.status,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }
    if isinstance(body, bytes):
        await send(start)
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else body})
        return
    await _stream(start, body, exchange, send)


async def _stream(start: Message, chunks: AsyncIterator[bytes], exchange: Exchange, send: Send) -> None:
    iterator = chunks.__aiter__()
    gone = asyncio.ensure_future(exchange.disconnected())
    try:
        # The first chunk is awaited before the status goes out, so that an early error still gets its own status.
        chunk = await anext(iterator, None)
        await send(start)
        while chunk is not None and not gone.done():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            step = asyncio.ensure_future(anext(iterator, None))
            await asyncio.wait({step, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await step
                break
            chunk = step.result()
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
        close = getattr(iterator, "aclose", None)
        if close:
            await close()
