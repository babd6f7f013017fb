"""What hot paths know of the catalog without asking it: values in memory that are a moment old at most.

Each is read by one caller at a time, however many ask: those who come while it is read again go by what was known, and
those who come where nothing is known wait for the same answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Known(NamedTuple, Generic[V]):
    value: V
    at: float
    """When it was begun to be read."""


class Fresh(Generic[K, V]):
    """Values by key, each `seconds` old at most; twice that while it is being read again."""

    def __init__(self, seconds: float, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        """Past `most` keys all are forgotten: they may come from callers."""
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._known: dict[K, _Known[V]] = {}
        self._reading: dict[K, asyncio.Task[V]] = {}
        self._forgotten = 0

    async def get(self, key: K, read: Callable[[K], Awaitable[V]]) -> V:
        """Return the value of a key, by `read` where none is known that is fresh; raise what that raises."""
        known = self._known.get(key)
        if known is not None:
            age = self._clock() - known.at
            if age < self._seconds or (age < 2 * self._seconds and key in self._reading):
                return known.value
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(key, read))
            reading.add_done_callback(_heard)
        # Whoever goes away does not take the answer from the others.
        return await asyncio.shield(reading)

    def put(self, key: K, value: V) -> None:
        """Note a value that was written just now; what is being read just now is not kept."""
        self.forget(key)
        self._known[key] = _Known(value, self._clock())

    def forget(self, key: K | None = None) -> None:
        """Read a value (None: all) anew the next time; what is being read just now is not kept."""
        self._forgotten += 1
        self._reading.clear()
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)

    async def _read(self, key: K, read: Callable[[K], Awaitable[V]]) -> V:
        before, at = self._forgotten, self._clock()
        try:
            value = await read(key)
            if before == self._forgotten:
                if len(self._known) >= self._most:
                    self._known.clear()
                self._known[key] = _Known(value, at)
            return value
        finally:
            if before == self._forgotten:
                self._reading.pop(key, None)


def _heard(reading: "asyncio.Task[V]") -> None:
    """Take note of a failure that nobody waited for."""
    if not reading.cancelled():
        reading.exception()
