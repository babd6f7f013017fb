"""Our own HTTP/1.1 client, for hot paths: no task, no timeout scope and one write for a small request.

`head` builds what is sent, `pool` lends a `connection`, and that fills the `answer`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from gimbal.engines.http.answer import Answer
from gimbal.engines.http.connection import Connection
from gimbal.engines.http.head import body_of
from gimbal.engines.http.model import Broken, Deadlines, HeaderList, Origin, SizedBody, TooSlow, Unreachable
from gimbal.engines.http.pool import DEFAULT_LIMITS, Limits, Pool
from gimbal.kernel.errors import Unavailable
from gimbal.kernel.settings import KIB

# What is written at once; more goes in pieces, each when the network has taken the one before.
_PIECE: Final = 64 * KIB


class RawClient:
    """Implements `Client` for origins that can be reached directly; it belongs to the event loop that it first runs in."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, ca_file: str = "") -> None:
        self._limits = limits
        self._ca_file = ca_file
        self._pools: dict[Origin, Pool] = {}
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
    ) -> Answer:
        """Send a request and return when the head of its answer has come."""
        pool = self._pools.get(origin) or self._pool(origin)
        now = pool.loop.time()
        until = now + deadlines.total_s
        if not isinstance(body, bytes):
            body = await body_of(method, body)
            now = pool.loop.time()
        if isinstance(body, bytes):
            data = pool.heads.head(method, target, headers, len(body))
            whole = len(body) <= _PIECE
            if whole:
                data += body
        else:
            data = pool.heads.head(method, target, headers, body.length if isinstance(body, SizedBody) else None)
            whole = False
        if pool.idle:
            connection = pool.idle.pop()
        else:
            connection = await pool.acquire(deadlines, until)
            now = pool.loop.time()
        used = connection.used
        answer = connection.begin(method, data, deadlines, until, now, alone=whole)
        if whole:
            # As `answer.head` does, without two coroutines more.
            answer.waiter = pool.loop.create_future()
            try:
                await answer.waiter
            except BaseException:
                answer.close()
                raise
            finally:
                answer.waiter = None
        else:
            await _upload(connection, answer, body)
        if answer.headed:
            # What went wrong after its head is told to who reads on.
            return answer
        if used and isinstance(answer.error, Broken) and not answer.begun and isinstance(body, bytes):
            # The server had closed it meanwhile.
            pool = self._pool(origin)
            try:
                connection = await pool.fresh(deadlines, until)
            except (Unreachable, TooSlow) as problem:
                # Those would say that nothing had been sent.
                raise answer.error from problem
            answer = connection.begin(method, data, deadlines, until, pool.loop.time())
            if not whole:
                await _upload(connection, answer, body)
        await answer.head()
        if answer.error is not None and not answer.headed:
            raise answer.error
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        for pool in tuple(self._pools.values()):
            pool.close()
        self._pools.clear()
        # Sockets close when the event loop comes by.
        await asyncio.sleep(0)

    def _pool(self, origin: Origin) -> Pool:
        if self._closed:
            raise Unavailable("The client is closed.")
        pool = self._pools.get(origin)
        if pool is None:
            pool = Pool(asyncio.get_running_loop(), origin, self._limits, self._ca_file, self._forget)
            self._pools[origin] = pool
        return pool

    def _forget(self, pool: Pool) -> None:
        if self._pools.get(pool.origin) is pool:
            del self._pools[pool.origin]


async def _upload(connection: Connection, answer: Answer, body: bytes | AsyncIterator[bytes]) -> None:
    """Send a body as fast as it is taken, until an answer comes; return when the head of that is there."""
    connection.sending = True
    try:
        if isinstance(body, bytes):
            sent = await _sent_pieces(connection, answer, memoryview(body))
        elif isinstance(body, SizedBody):
            sent = await _sent_sized(connection, answer, body)
        else:
            sent = await _sent_chunks(connection, answer, body)
    except BaseException:
        answer.close()
        raise
    if sent:
        connection.sending = False
    await answer.head()


async def _sent_pieces(connection: Connection, answer: Answer, body: memoryview) -> bool:
    for start in range(0, len(body), _PIECE):
        if not await connection.send(body[start : start + _PIECE], answer):
            return False
    return True


async def _sent_sized(connection: Connection, answer: Answer, body: SizedBody) -> bool:
    while (chunk := await answer.unless_it_comes(body)) is not None:
        if chunk and not await connection.send(chunk, answer):
            return False
    # Where the answer came first the rest is never sent, and the connection is good for nothing more.
    return body.left == 0


async def _sent_chunks(connection: Connection, answer: Answer, body: AsyncIterator[bytes]) -> bool:
    while (chunk := await answer.unless_it_comes(body)) is not None:
        if chunk and not await connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk), answer):
            return False
    # The source has ended, or the answer came first.
    return await connection.send(b"0\r\n\r\n", answer)
