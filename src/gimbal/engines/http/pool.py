"""The connections to one origin: so many at most, the warmest first, and those who wait for one in the order they came."""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from gimbal.engines.http import problems
from gimbal.engines.http.connection import Connection
from gimbal.engines.http.dialing import dial
from gimbal.engines.http.head import Heads
from gimbal.engines.http.model import Deadlines, Origin
from gimbal.engines.http.tls import trust
from gimbal.kernel.errors import GimbalError, Unavailable

# Past the deadline, which is what ends a handshake; uvloop wants a number here.
_HANDSHAKE_S = 86_400


class Limits(NamedTuple):
    """What a client may hold open."""

    connections: int = 1024
    """Connections to one origin; who comes when all are in use waits, as long as the connect deadline allows."""
    idle_s: float = 30.0
    """Seconds after which a connection that nobody uses is closed."""


DEFAULT_LIMITS = Limits()


class Pool:
    """Lends connections to one origin.

    A place is taken by each connection, idle or lent, and by each that is being made; whoever has a place gives it back.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        limits: Limits,
        ca_file: str,
        unused: Callable[["Pool"], None],
    ) -> None:
        self.loop = loop
        self.origin = origin
        self.where = problems.name_of(origin)
        self.heads = Heads(origin)
        self.idle: list[Connection] = []
        """Connections that can be taken at once, from the end; none is here while anybody waits."""
        self._limits = limits
        self._ca_file = ca_file
        self._unused = unused
        self._places = 0
        self._open: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | GimbalError | None]] = deque()
        self._closed: GimbalError | None = None

    async def acquire(self, deadlines: Deadlines, until: float) -> Connection:
        """Return a connection; raise Unreachable, or TooSlow when none could be had in time."""
        if self._closed is not None:
            raise self._closed
        if self.idle:
            return self.idle.pop()
        due, phase = self.loop.time() + deadlines.connect_s, "connect"
        if due > until:
            due, phase = until, "total"
        late = problems.too_slow(self.where, phase, deadlines)
        if self._places < self._limits.connections:
            self._places += 1
        else:
            connection = await self._turn(due, late)
            if connection is not None and not connection.closed:
                return connection
        return await self._made(due, late)

    async def fresh(self, deadlines: Deadlines, until: float) -> Connection:
        """Return a connection as `acquire` does, but no idle one: what happened to one has happened to all."""
        while self.idle:
            connection = self.idle.pop()
            connection.drop()
            self._gone(connection)
        return await self.acquire(deadlines, until)

    def free(self, connection: Connection) -> None:
        """Take back a connection, closed or not, and give it or its place to who waits longest."""
        if connection.closed:
            self._gone(connection)
        elif not self._handed(connection):
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget an idle connection that has been closed."""
        self._open.discard(connection)
        # One that was just handed to somebody is theirs: they see that it is closed.
        if connection in self.idle:
            self.idle.remove(connection)
            self._gone(connection)

    def close(self) -> None:
        """Close all connections and send those who wait away."""
        self._closed = Unavailable("The client is closed.", where=self.where)
        while self._handed(self._closed):
            pass
        for connection in tuple(self._open):
            connection.end(self._closed)
        self.idle.clear()
        self._open.clear()

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._leave()

    def _leave(self) -> None:
        """Give a place back."""
        if not self._handed(None):
            self._places -= 1
            if not self._places:
                self._unused(self)

    def _handed(self, what: Connection | GimbalError | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(what)
                return True
        return False

    async def _turn(self, due: float, late: GimbalError) -> Connection | None:
        """Wait for a connection, or for a place only."""
        waiter: asyncio.Future[Connection | GimbalError | None] = self.loop.create_future()
        self._waiting.append(waiter)
        timer = None if due == inf else self.loop.call_at(due, _tell, waiter, late)
        try:
            given = await waiter
        except BaseException:
            if not waiter.cancelled():
                given = waiter.result()
                if given is None:
                    self._leave()
                elif isinstance(given, Connection):
                    self.free(given)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        if isinstance(given, GimbalError):
            raise given
        return given

    async def _made(self, due: float, late: GimbalError) -> Connection:
        """Make a connection in a place that is taken; give the place back where that fails."""
        scope = asyncio.timeout_at(None if due == inf else due)
        try:
            async with scope:
                connection = await self._connected(due)
        except (OSError, UnicodeError) as problem:
            self._leave()
            raise (late if scope.expired() else problems.unreachable(self.where, problem)) from problem
        except BaseException:
            self._leave()
            raise
        if self._closed is not None:
            connection.drop()
            raise self._closed
        self._open.add(connection)
        return connection

    async def _connected(self, due: float) -> Connection:
        loop = self.loop
        host = self.origin.host.strip("[]")
        made = await dial(host, self.origin.port)
        connection = Connection(loop, self, self.where, self._limits.idle_s)
        try:
            if self.origin.scheme == "http":
                await loop.create_connection(lambda: connection, sock=made)
            else:
                # It reads a file of some hundred certificates, once.
                context = await loop.run_in_executor(None, trust, self._ca_file)
                await loop.create_connection(
                    lambda: connection, sock=made, ssl=context, server_hostname=host,
                    ssl_handshake_timeout=min(max(due - loop.time(), 0) + 1, _HANDSHAKE_S),
                )  # fmt: skip
        except BaseException:
            connection.drop()
            made.close()
            raise
        return connection


def _tell(waiter: "asyncio.Future[Connection | GimbalError | None]", late: GimbalError) -> None:
    if not waiter.done():
        waiter.set_result(late)
