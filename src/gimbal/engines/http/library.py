"""The same Protocol over httpcore, the transport under httpx: for outbound proxies and whatever ours does not do.

It costs many times what ours costs. `library_streams` makes up for what httpcore does not tell and cannot bear.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, cast

import httpcore

from gimbal.engines.http import problems
from gimbal.engines.http.decoding import Decoding, decoding
from gimbal.engines.http.head import DEFAULT_PORTS, Heads, body_of
from gimbal.engines.http.library_streams import FAILURES, Exchange, Network, begun, unhurt
from gimbal.engines.http.model import Broken, Deadlines, HeaderList, Origin, SizedBody, TooSlow, Unreachable
from gimbal.engines.http.pool import DEFAULT_LIMITS, Limits
from gimbal.engines.http.tls import trust
from gimbal.kernel.errors import GimbalError, Unavailable

_HEADERS: Final = 256


class LibraryResponse:
    """Implements `Response`."""

    def __init__(self, response: httpcore.Response, exchange: Exchange, places: asyncio.Semaphore) -> None:
        self.status = response.status
        self.headers: HeaderList = [(name.lower(), value) for name, value in response.headers]
        self._response = response
        self._exchange = exchange
        self._places = places
        self._reading: asyncio.Task[bytes | None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._stream = aiter(cast("AsyncIterator[bytes]", response.stream))
        self._decoding: Decoding | None = None
        self._looked = False
        self._ended = False
        self._error: GimbalError | None = None

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header; empty when it is not there."""
        return next((value for one, value in self.headers if one == name), b"")

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decoded; raise Upstream when it has more than `limit` bytes."""
        pieces: list[bytes] = []
        room = limit
        async for piece in self.chunks():
            room -= len(piece)
            if room < 0:
                await self.aclose()
                raise problems.too_large(self._exchange.where, limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, decoded, as it comes; who reads slowly slows the sender down."""
        if not self._looked:
            self._decoding = decoding(self.header(b"content-encoding"), self._exchange.where)
            self._looked = True
        undo = self._decoding
        try:
            while (chunk := await self._next()) is not None:
                for piece in [chunk] if undo is None else undo.feed(chunk):
                    yield piece
            if undo is not None:
                undo.end()
        except GimbalError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Give the connection back if the answer has been read to its end, and close it otherwise; never raises."""
        if not self._ended and self._error is None:
            self._error = problems.broken(self._exchange.where, "it was closed here", begun=True)
        await self._leave()

    async def _leave(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        """Close, whatever happens in that, and to its end, whoever waits for it."""
        if self._reading is not None and not self._reading.done():
            self._exchange.leave(self._reading)
            await asyncio.wait({self._reading})
        with contextlib.suppress(Exception):
            await self._response.aclose()
        self._places.release()

    async def _next(self) -> bytes | None:
        if self._ended:
            return None
        if self._error is not None:
            raise self._error
        exchange = self._exchange
        exchange.scope = asyncio.timeout(None)

        async def read() -> bytes | None:
            return await anext(self._stream, None)

        try:
            async with exchange.scope:
                exchange.turn("between")
                self._reading = begun(exchange, read())
                chunk = await unhurt(exchange, self._reading)
        except FAILURES as reason:
            self._error = exchange.problem(reason)
            await self._leave()
            raise self._error from reason
        except BaseException:
            await self.aclose()
            raise
        if chunk is None:
            self._ended = True
            await self._leave()
        return chunk


class _Pool:
    """Connections to one origin, and a place for each that may be in use: httpcore serves those who wait in no order."""

    def __init__(self, connections: httpcore.AsyncConnectionPool, places: int) -> None:
        self.connections = connections
        self.places = asyncio.Semaphore(places)

    def left(self, task: asyncio.Task[httpcore.Response]) -> None:
        """Give back the place of a request that failed, and close the answer of one that nobody waits for."""
        if task.cancelled() or task.exception() is not None:
            self.places.release()
        else:
            asyncio.ensure_future(task.result().aclose()).add_done_callback(lambda _: self.places.release())


class LibraryClient:
    """Implements `Client`, through a proxy where one is given (`http://user:password@proxy:3128`)."""

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, *, ca_file: str = "", proxy: httpcore.Proxy | None = None
    ) -> None:
        self._limits = limits
        self._ca_file = ca_file
        self._proxy = proxy
        self._pools: dict[Origin, _Pool] = {}
        self._closed = False

    async def send(
        self,
        method: bytes,
        origin: Origin,
        target: bytes,
        headers: HeaderList,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        deadlines: Deadlines,
    ) -> LibraryResponse:
        """Send a request and return when the head of its answer has come."""
        until = asyncio.get_running_loop().time() + deadlines.total_s
        if not isinstance(body, bytes):
            body = await body_of(method, body)
        whole = isinstance(body, bytes)
        length = len(body) if isinstance(body, bytes) else body.length if isinstance(body, SizedBody) else None
        head = Heads(origin).head(method, target, headers, length)
        lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2]]
        where = problems.name_of(origin)
        port = None if origin.port == DEFAULT_PORTS[origin.scheme] else origin.port
        first: Broken | None = None
        while True:
            exchange = Exchange(where, deadlines, until)
            request = httpcore.Request(
                method,
                httpcore.URL(scheme=origin.scheme, host=origin.host, port=port, target=target),
                headers=[(name, value) for name, value in lines],
                content=body,
                extensions={"trace": exchange.trace},
            )
            try:
                return await self._sent(request, origin, exchange)
            except Broken as problem:
                if first or exchange.fresh or problem.begun or not whole:
                    raise
                first = problem
            except (Unreachable, TooSlow) as problem:
                if first is None or exchange.connected:
                    raise
                # Those would say that nothing had been sent.
                raise first from problem

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        for pool in self._pools.values():
            await pool.connections.aclose()
        self._pools.clear()

    async def _sent(self, request: httpcore.Request, origin: Origin, exchange: Exchange) -> LibraryResponse:
        pool = self._pool(origin)
        try:
            async with exchange.scope:
                exchange.turn("connect")
                await pool.places.acquire()
                task = begun(exchange, pool.connections.handle_async_request(request))
                try:
                    response = await unhurt(exchange, task)
                except BaseException:
                    task.add_done_callback(pool.left)
                    raise
        except FAILURES as reason:
            if isinstance(reason, TimeoutError) and not exchange.scope.expired():
                raise
            raise exchange.problem(reason) from reason
        wrong = ""
        if response.status < 200:
            wrong = "what came is no HTTP (it changes to another protocol)"
        elif len(response.headers) > _HEADERS:
            wrong = f"what came is no HTTP (its head has more than {_HEADERS} headers)"
        elif not exchange.begun:
            # httpcore keeps bytes after the end of an answer, and takes them for the next one.
            wrong = "what came had come before it was asked for"
        answer = LibraryResponse(response, exchange, pool.places)
        if wrong:
            await answer.aclose()
            raise problems.broken(exchange.where, wrong, begun=True)
        return answer

    def _pool(self, origin: Origin) -> _Pool:
        if self._closed:
            raise Unavailable("The client is closed.")
        pool = self._pools.get(origin)
        if pool is None:
            connections = httpcore.AsyncConnectionPool(
                ssl_context=trust(self._ca_file),
                proxy=self._proxy,
                max_connections=self._limits.connections,
                max_keepalive_connections=self._limits.connections,
                keepalive_expiry=self._limits.idle_s,
                network_backend=Network(),
            )
            pool = self._pools[origin] = _Pool(connections, self._limits.connections)
        return pool
