"""What a request over HTTP is to those who send one, whichever client carries it.

`raw` is our own HTTP/1.1 client for hot paths, `library` one for outbound proxies and odd cases; both pass the suite in
`gimbal.testing.http_client`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from gimbal.kernel.errors import BadInput, DeadlineExceeded, Unavailable, Upstream

HeaderList = Sequence[tuple[bytes, bytes]]


class Origin(NamedTuple):
    """Where connections go: those to one origin share a pool."""

    scheme: str
    """http or https."""
    host: str
    port: int


class Deadlines(NamedTuple):
    """Seconds that each part of a request may take."""

    connect_s: float = 10.0
    """To a connection, TLS included."""
    first_byte_s: float = 120.0
    """From the request's last byte to the answer's first; and as long as the server takes nothing of a request."""
    between_s: float = 120.0
    """Silence between two chunks of the answer, while somebody reads it."""
    total_s: float = 3600.0
    """From the call to the answer's last byte."""


class Unreachable(Unavailable):
    """No connection could be made (name, address, TLS): nothing was sent, so another attempt does no harm."""

    code = "unreachable"


class Broken(Upstream):
    """A connection ended before the answer did."""

    code = "connection_broken"

    begun: bool = False
    """Whether a byte of the answer had come."""


class TooSlow(DeadlineExceeded):
    """A deadline passed."""

    code = "too_slow"

    phase: str = ""
    """connect, first_byte, between or total."""


class SizedBody:
    """A body that comes as a stream whose length is known before: it goes with Content-Length and not in chunks.

    Iterating raises BadInput where the stream gives more or less.
    """

    def __init__(self, chunks: AsyncIterator[bytes], length: int) -> None:
        self._chunks = chunks
        self.length = length
        self.left = length
        """Bytes that are still to come."""

    def __aiter__(self) -> "SizedBody":
        """Return itself: it can be gone through once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next part."""
        chunk = await anext(self._chunks, None)
        self.left -= len(chunk or b"")
        if self.left < 0 or (chunk is None and self.left):
            raise BadInput(
                f"The body has {'more than' if self.left < 0 else f'{self.left} bytes less than'} the {self.length} "
                "bytes that were announced.",
                where="Content-Length",
                todo="Send as many bytes as are announced.",
            )
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class Response(Protocol):
    """An answer whose head has come. Read it whole, or iterate over it, or close it; in any case close it in the end.

    Who is cancelled while they read has closed it.
    """

    status: int
    headers: HeaderList
    """As they came, names in lower case: Content-Encoding and Content-Length are about the body as it was sent."""

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header; empty when it is not there."""
        ...

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decoded (gzip, deflate, zstd); raise Upstream when it has more than `limit` bytes."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, decoded, as it comes; who reads slowly slows the sender down."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the answer has been read to its end, and close it otherwise; never raises."""
        ...


class Client(Protocol):
    """Sends requests over pooled connections."""

    async def send(
        self,
        method: bytes,
        origin: Origin,
        target: bytes,
        headers: HeaderList,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        deadlines: Deadlines,
    ) -> Response:
        """Send a request and return when the head of its answer has come.

        `target` is path and query as they go on the wire. Host and the body's length are added; headers that are about the
        connection or the framing are refused. A stream goes in chunks unless it is a `SizedBody`. One that gives nothing
        is no body where none is usual (GET, HEAD, DELETE, OPTIONS). A tuple of headers that comes again and again is made into bytes once.

        Raise Unreachable, Broken or TooSlow. A connection that was kept alive and turns out to be closed is replaced once,
        where no byte of an answer had come and the body can be sent again.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
