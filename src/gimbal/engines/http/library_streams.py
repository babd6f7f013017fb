"""How the library's client waits for the network: what httpcore does not tell is noted here, and what it cannot bear is kept from it.

It does not tell whether a connection is new and whether a byte of an answer has come. It cannot bear to be cancelled.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine, Iterable, Iterator
from contextvars import ContextVar
from math import inf
from typing import Any, Final, TypeVar

import httpcore

from gimbal.engines.http import problems
from gimbal.engines.http.model import Deadlines
from gimbal.kernel.errors import GimbalError

FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    UnicodeError,
    OSError,
)

T = TypeVar("T")


class Exchange:
    """What is known of a request that is under way."""

    def __init__(self, where: str, deadlines: Deadlines, until: float) -> None:
        self.where = where
        self.deadlines = deadlines
        self.until = until
        self.fresh = False
        """Whether a connection was made for it."""
        self.connected = False
        """Whether the request itself is being sent."""
        self.begun = False
        """Whether a byte of the answer has come."""
        self.phase = "connect"
        self.left = False
        """Whether nobody waits for it any more."""
        self.busy = False
        """Whether it waits for the network."""
        self.scope = asyncio.timeout(None)

    def turn(self, phase: str) -> None:
        """Begin to wait for something else."""
        if self.left:
            return
        due = asyncio.get_running_loop().time() + getattr(self.deadlines, f"{phase}_s")
        self.phase = phase if due < self.until else "total"
        due = min(due, self.until)
        self.scope.reschedule(None if due == inf else due)

    def leave(self, task: "asyncio.Task[Any]") -> None:
        """Learn that nobody waits for it any more."""
        self.left = True
        if self.busy:
            task.cancel()

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Learn from httpcore how far it is."""
        # A proxy's tunnel is a part of the connection.
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            self.connected = True
            self.turn("first_byte")

    def problem(self, reason: BaseException) -> GimbalError:
        """Return what a failure of httpcore means."""
        if isinstance(reason, TimeoutError):
            return problems.too_slow(self.where, self.phase, self.deadlines)
        if not self.connected or isinstance(reason, httpcore.ConnectError | httpcore.ProxyError):
            return problems.unreachable(self.where, _cause(reason))
        return problems.broken(self.where, str(reason) or type(reason).__name__, begun=self.begun)


_exchange: ContextVar[Exchange] = ContextVar("gimbal_http_exchange")


@contextlib.contextmanager
def _network() -> Iterator[Exchange]:
    """Wait for the network, unless nobody waits for what it says any more."""
    exchange = _exchange.get()
    if exchange.left:
        # Not WriteError, after which httpcore goes on to read an answer.
        raise httpcore.ReadError("nobody waits for it any more")
    exchange.busy = True
    try:
        yield exchange
    finally:
        exchange.busy = False


def begun(exchange: Exchange, act: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start something of httpcore's that belongs to an exchange."""
    token = _exchange.set(exchange)
    task = asyncio.ensure_future(act)
    _exchange.reset(token)
    return task


async def unhurt(exchange: Exchange, task: asyncio.Task[T]) -> T:
    """Return what httpcore does in a task that is cancelled with its caller only while it waits for the network.

    Anywhere else a cancellation would leave a connection in httpcore that nobody can use or close any more. What is not
    cancelled ends by itself when it next turns to the network.
    """
    try:
        return await asyncio.shield(task)
    except BaseException:
        exchange.leave(task)
        raise


class _Stream(httpcore.AsyncNetworkStream):
    """A stream that notes when bytes come."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _network() as exchange:
            data = await self._stream.read(max_bytes, timeout)
        if exchange.connected and data:
            if not exchange.begun and data[:7] != b"HTTP/1."[: len(data)]:
                # h11 would wait for the end of a line, or for that of a version that it does not know.
                exchange.begun = True
                raise httpcore.RemoteProtocolError("what came is no HTTP")
            exchange.begun = True
            exchange.turn("between")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _network() as exchange:
            await self._stream.write(buffer, timeout)
        if exchange.connected:
            exchange.turn("first_byte")

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        with _network():
            try:
                return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
            except BaseException:
                # httpcore does so too, but not when it is cancelled.
                await self._stream.aclose()
                raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """Makes such streams."""

    def __init__(self) -> None:
        # Its class is a stand-in where anyio is not installed, which httpx always brings.
        self._anyio: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """Connect."""
        with _network() as exchange:
            exchange.fresh = True
            return _Stream(await self._anyio.connect_tcp(host, port, timeout, local_address, socket_options))


def _cause(problem: BaseException) -> BaseException:
    """Return the error of the network, of TLS or of the name that is under those that wrap it."""
    found, inner = problem, problem
    while True:
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[-1]
        if isinstance(inner, OSError | UnicodeError):
            found = inner
            if not isinstance(inner, OSError) or inner.errno is not None:
                return found
        under = inner.__cause__ or inner.__context__
        if under is None:
            return found
        inner = under
