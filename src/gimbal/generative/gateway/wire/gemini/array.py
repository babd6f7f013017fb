"""A JSON array that comes in pieces: its objects one by one, as soon as each is complete."""

import re
from collections.abc import Iterator

from gimbal.generative.gateway.wire.answers import BrokeOff

_MARKS = re.compile(rb'["\\{}\[\]]')
_MOST = 16 * 1024 * 1024


class ArrayParser:
    """Feed it bytes as they come, take objects as they are complete."""

    def __init__(self, limit: int = _MOST) -> None:
        self._limit = limit
        self._held = bytearray()
        self._place = 0
        """Up to where what is held has been looked at."""
        self._depth = 0
        """0 before the array, 1 between its objects."""
        self._begin = 0
        self._quoted = False
        self.ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the objects that `chunk` completes; raise BrokeOff for what is no array of objects."""
        self._held += chunk
        while match := _MARKS.search(self._held, self._place):
            mark, place = self._held[match.start()], match.start()
            if mark == 0x5C:  # a backslash: whatever follows it means nothing
                if place + 1 == len(self._held):
                    self._place = place
                    return
                self._place = place + 2
                continue
            self._place = place + 1
            if mark == 0x22:
                self._quoted = not self._quoted
            elif not self._quoted and (found := self._step(mark, place)):
                yield found
        self._place = max(self._place, len(self._held))
        self._trim()

    def _step(self, mark: int, place: int) -> bytes:
        """Take note of a bracket; return the object that it ends, or nothing."""
        if mark in b"{[":
            if self._depth == 1:
                self._begin = place
            if self._depth == 0 and (mark != 0x5B or self.ended):
                raise _no_array()
            self._depth += 1
            return b""
        self._depth -= 1
        if self._depth < 0:
            raise _no_array()
        if self._depth == 0:
            self.ended = True
        if self._depth != 1:
            return b""
        begin, self._begin = self._begin, place + 1
        return bytes(self._held[begin : place + 1])

    def _trim(self) -> None:
        """Forget what has been read."""
        done = self._begin if self._depth > 1 else self._place
        del self._held[:done]
        self._place -= done
        self._begin = 0
        if len(self._held) > self._limit:
            raise BrokeOff(f"The provider sent an event of more than {self._limit} bytes.", todo="Ask its operator.")


def _no_array() -> BrokeOff:
    return BrokeOff("The provider sent something that is no array.", kept="what was streamed before", todo="Try again.")
