"""An answer on its way in over one of our own connections: what has come of it, and who waits for more."""

import asyncio
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Final, Protocol

from gimbal.engines.http import problems
from gimbal.engines.http.decoding import Decoding, decoding
from gimbal.engines.http.model import Deadlines, HeaderList
from gimbal.engines.http.unpack import STEP
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings import KIB

# What may lie here unread before the sender is told to wait.
ROOM: Final = 256 * KIB


class Wants(IntEnum):
    """What the one who waits for an answer waits for."""

    HEAD = 0
    SOME = 1
    END = 2


class Carrier(Protocol):
    """The connection that an answer comes over."""

    def drop(self) -> None:
        """Close the connection: nobody wants the rest."""
        ...

    def hold(self) -> None:
        """Read no more for now."""
        ...

    def go_on(self) -> None:
        """Read on."""
        ...


class Answer:
    """Implements `Response`; the connection fills it."""

    __slots__ = (
        "_carrier",
        "_decoding",
        "_held",
        "_limit",
        "_looked",
        "_loop",
        "begun",
        "deadlines",
        "ended",
        "error",
        "headed",
        "headers",
        "parts",
        "room",
        "size",
        "status",
        "waiter",
        "wants",
        "where",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, carrier: Carrier, deadlines: Deadlines, where: str) -> None:
        self.status = 0
        self.headers: HeaderList = ()
        self.where = where
        self.deadlines = deadlines
        self.begun = False
        """Whether a byte has come."""
        self.headed = False
        """Whether the head is there."""
        self.ended = False
        """Whether the whole body is there; the connection has been given back then."""
        self.error: GimbalError | None = None
        """What ended it before its time."""
        self.parts: list[bytes] = []
        """What has come of the body and was not read yet, as it was sent."""
        self.size = 0
        """Bytes in `parts`."""
        self.room = ROOM
        """Past this size the connection calls `full`."""
        self.waiter: asyncio.Future[None] | None = None
        self.wants = Wants.HEAD
        self._loop = loop
        self._carrier = carrier
        self._limit: int | None = None
        self._held = False
        self._looked = False
        self._decoding: Decoding | None = None

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header; empty when it is not there."""
        for one, value in self.headers:
            if one == name:
                return value
        return b""

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decoded; raise Upstream when it has more than `limit` bytes."""
        undo = self._encoding()
        self._limit = limit
        # What is packed may be a little larger than what it stands for, never much.
        self.room = limit + STEP if undo else limit
        if self.size > self.room or (not self.ended and self._announced() > self.room):
            self.full()
        while not self.ended and self.error is None:
            self._let_come()
            await self.wait(Wants.END)
        if self.error is not None:
            raise self.error
        parts = self.parts
        self.parts, self.size = [], 0
        if undo is not None:
            return undo.whole(parts, limit)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, decoded, as it comes; who reads slowly slows the sender down."""
        undo = self._encoding()
        while True:
            if self.parts:
                parts = self.parts
                self.parts, self.size = [], 0
                if undo is None:
                    yield parts[0] if len(parts) == 1 else b"".join(parts)
                    continue
                for part in parts:
                    for piece in undo.feed(part):
                        yield piece
            elif self.error is not None:
                raise self.error
            elif self.ended:
                break
            else:
                self._let_come()
                await self.wait(Wants.SOME)
        if undo is not None:
            undo.end()

    async def aclose(self) -> None:
        """Close the connection if the answer has not ended; never raises."""
        self.close()

    def close(self) -> None:
        """Do what `aclose` does."""
        if not self.ended and self.error is None:
            self.error = problems.broken(self.where, "it was closed here", begun=self.begun)
            self._carrier.drop()
            self.wake()
        self.parts, self.size = [], 0

    async def head(self) -> None:
        """Wait for the head, or for what came instead of it."""
        while not self.headed and self.error is None:
            await self.wait(Wants.HEAD)

    async def unless_it_comes(self, source: AsyncIterator[bytes]) -> bytes | None:
        """Return what the source gives next, or None when it gives no more, or the answer came before that."""
        if self.headed or self.error is not None:
            return None
        waiter = self.waiter = self._loop.create_future()
        self.wants = Wants.HEAD
        scope = asyncio.timeout(None)

        def stop(_: object) -> None:
            if self.waiter is waiter:
                scope.reschedule(self._loop.time())

        waiter.add_done_callback(stop)
        try:
            async with scope:
                return await anext(source, None)
        except TimeoutError:
            if not scope.expired():
                raise
            return None
        finally:
            self.waiter = None

    async def wait(self, wants: Wants) -> None:
        """Wait until the connection says that there may be what is wanted; who is cancelled closes the connection."""
        if self.waiter is not None:
            raise RuntimeError("An answer is read by one at a time.")
        self.wants = wants
        self.waiter = self._loop.create_future()
        try:
            await self.waiter
        except BaseException:
            self.close()
            raise
        finally:
            self.waiter = None

    def wake(self) -> None:
        """Let the one who waits look again."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def full(self) -> None:
        """Tell the sender to wait, or end an answer that is larger than what is read of it."""
        if self._limit is None:
            self._held = True
            self._carrier.hold()
        elif self.error is None:
            self.error = problems.too_large(self.where, self._limit)
            if not self.ended:
                self._carrier.drop()
            self.parts, self.size = [], 0
            self.wake()

    def _let_come(self) -> None:
        if self._held:
            self._held = False
            self._carrier.go_on()

    def _encoding(self) -> Decoding | None:
        if not self._looked:
            for name, value in self.headers:
                if name == b"content-encoding":
                    self._decoding = decoding(value, self.where)
                elif name == b"transfer-encoding" and value.lower() != b"chunked":
                    raise problems.undecodable(self.where, f"{value!r} is no way to transfer it that was asked for")
            self._looked = True
        return self._decoding

    def _announced(self) -> int:
        length = self.header(b"content-length")
        return int(length) if length.isdigit() else 0
