"""What goes over HTTP, without a web framework: requests and replies of foreign dialects, uploads and downloads.

A dialect is a face that others defined (OTLP, OpenAI, Open Inference): its room declares handlers with `@dialect`,
`faces/server` authenticates, dispatches and carries the bytes.
"""

import contextlib
import functools
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import Busy, TooLarge


@functools.lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Tell whether an address or name means this machine only."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class BodyRoom:
    """The memory that the bodies of all requests of a process may take at once; what is only passed on takes none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0
        """Bytes that are held now."""

    def take(self, size: int) -> None:
        """Hold so many bytes more; raise Busy where they would be too many, unless nobody holds any."""
        if self.taken and self.taken + size > self._most:
            raise Busy(
                f"Requests of {self.taken} bytes in all are being read already.",
                kept="nothing of this request",
                todo="Send the same again after the time in Retry-After, or raise server.max_held_bytes.",
                retry_after=1.0,
            )
        self.taken += size

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        self.taken -= size

    @contextlib.contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold so many bytes for as long as the block runs; raise Busy as `take` does."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)


class Upload:
    """A raw request body that is read in chunks; it stops with TooLarge past `limit` bytes.

    `hold` is told of every chunk that `read` keeps in memory, and may raise Busy.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        limit: int,
        media_type: str = "",
        hold: Callable[[int], None] = lambda _: None,
        announced: int | None = None,
        at_once: Callable[[], Awaitable[bytes | None]] | None = None,
    ) -> None:
        """`at_once` returns the whole body where it has come in one piece, and None where `chunks` must be read."""
        self._chunks = chunks
        self._at_once = at_once
        self.announced = announced
        """Bytes that the caller said it would send; None where that is not known, or is not that of what is read here."""
        self._hold = hold
        self.limit = limit
        self.media_type = media_type
        self.received = 0
        """Bytes read so far."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks as they come."""
        self._check_announced()
        async for chunk in self._chunks:
            self._count(chunk)
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body; raise Busy when too much is in memory already."""
        self._check_announced()
        whole = None if self._at_once is None or self.received else await self._at_once()
        if whole is not None:
            self._count(whole)
            self._hold(len(whole))
            return whole
        parts: list[bytes] = []
        async for chunk in self:
            self._hold(len(chunk))
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _count(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received > self.limit:
            raise TooLarge(
                f"The body is larger than {self.limit} bytes.",
                todo="Send less, in parts, or raise server.max_body_bytes or server.max_upload_bytes.",
            )

    def _check_announced(self) -> None:
        if self.announced is not None and self.announced > self.limit:
            raise TooLarge(
                f"The body has {self.announced} bytes, and {self.limit} is the most that is taken here.",
                where="Content-Length",
                todo="Send less, in parts, or raise server.max_body_bytes or server.max_upload_bytes.",
            )


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """Raw bytes as the result of an operation."""

    chunks: AsyncIterator[bytes]
    media_type: str = "application/octet-stream"
    filename: str = ""
    size: int | None = None
    """Bytes in all, when known."""
    etag: str = ""
    """What the bytes are known by, without quotes: the same text means the same bytes for ever."""
    between: Callable[[int, int], AsyncIterator[bytes]] | None = None
    """Yields the bytes from one place to before another, where that can be had; needs `size`."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a dialect."""

    method: str
    path: str
    """Decoded path."""
    parameters: dict[str, str]
    """What stands in the places of the path template."""
    query: dict[str, str]
    """First value of each query parameter."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Upload
    """The body, decompressed (gzip, zstd, deflate)."""
    disconnected: Callable[[], Awaitable[None]]
    """Returns when the caller has gone away."""
    several: dict[str, list[str]] = {}
    """All values of the query parameters that came several times."""
    scheme: str = "http"
    """`http` or `https`, as the caller asked."""


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a dialect."""

    body: bytes | AsyncIterator[bytes] = b""
    """The whole body, or chunks that are sent as they come (server-sent events)."""
    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = {}


DialectHandler = Callable[[Context, HttpRequest], Awaitable[HttpReply]]


class DialectRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route of a foreign dialect."""

    method: str
    path: str
    """Template; `{name}` is one segment, `{name*}` the rest of the path."""
    allow: Permission
    handler: DialectHandler
    dialect: str
    """Whose face it is: `otlp`, `openai`, `open-inference` …"""
    large: bool
    """Whether bodies up to the upload limit are taken, instead of the ordinary limit."""
    on_error: Callable[[Any], HttpReply] | None
    """Writes a GimbalError in the dialect's own form; None means ours."""
    on_error_in: Callable[[Any, str], HttpReply] | None
    """The same for a dialect that answers in the form of the request, given the request's media type."""
    places: bool
    """Whether the handler itself finds the project that a request is in, and asks for what is allowed there."""


_routes: dict[tuple[str, str], DialectRoute] = {}


def dialect_routes() -> list[DialectRoute]:
    """Return every dialect route declared so far."""
    return list(_routes.values())


def dialect(
    method: str,
    path: str,
    *,
    dialect: str,
    allow: Permission,
    large: bool = False,
    on_error: Callable[[Any], HttpReply] | None = None,
    on_error_in: Callable[[Any, str], HttpReply] | None = None,
    places: bool = False,
) -> Callable[[DialectHandler], DialectHandler]:
    """Declare a route of a foreign dialect; one function may serve several."""

    def declare(handler: DialectHandler) -> DialectHandler:
        _routes[method, path] = DialectRoute(
            method=method,
            path=path,
            allow=allow,
            handler=handler,
            dialect=dialect,
            large=large,
            on_error=on_error,
            on_error_in=on_error_in,
            places=places,
        )
        return handler

    return declare
