"""Heads that come again: a client says the same on its connection call after call, but for the length of the body.

Comparing bytes takes a fraction of what reading them takes. Only what a parser has taken is remembered, and only byte by byte the
same is met: whatever else comes goes to the parser. Both sides use it, the server for requests and the client for answers.
"""

import re
from typing import Final, Self

from gimbal.kernel.settings import KIB

_MOST: Final = 4 * KIB
"""Bytes of a head that are kept, for each connection."""
_NAME = b"content-length"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})\r\n", re.IGNORECASE)
_DIGITS = 16
_END = b"\r\n\r\n"


class Repeated:
    """One head of HTTP/1.1 whose body, if it has one, says its length."""

    __slots__ = ("_after", "_before", "_headers", "_place", "_start")

    def __init__(self, before: bytes, after: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self._before = before
        self._after = after
        """What comes behind the length; empty where none is said."""
        self._start = len(before)
        self._headers = headers.copy()
        self._place = [name for name, _ in headers].index(_NAME) if after else -1

    @classmethod
    def of(cls, data: bytes, headers: list[tuple[bytes, bytes]]) -> Self | None:
        """Return the head with which `data` begins, of which a parser has told these headers; None for one that is unusual."""
        end = data.find(_END, 0, _MOST) + len(_END)
        head = data[:end]
        # A line for the start, for each header and for the end: none is folded, none ends otherwise.
        if end < len(_END) or not len(headers) + 2 == head.count(b"\n") == head.count(b"\r\n"):
            return None
        names = [name for name, _ in headers]
        if b"transfer-encoding" in names or names.count(_NAME) > 1:
            return None
        if _NAME not in names:
            return cls(head, b"", headers)
        said = _LENGTH.search(head)
        return cls(head[: said.start(1)], head[said.end(1) :], headers) if said else None

    def met(self, data: bytes) -> tuple[int, int] | None:
        """Return where the body begins and its length where `data` begins with this head; else None."""
        if not data.startswith(self._before):
            return None
        if not self._after:
            return self._start, 0
        end = data.find(b"\r", self._start, self._start + _DIGITS)
        length = data[self._start : end]
        if end < 0 or not length.isdigit() or not data.startswith(self._after, end):
            return None
        if length.startswith(b"0") and length != b"0":  # nobody says it so; it would be told in other digits
            return None
        return end + len(self._after), int(length)

    def headers(self, length: int) -> list[tuple[bytes, bytes]]:
        """Return the headers of one with a body of this length, their names in lower case."""
        headers = self._headers.copy()
        if self._after:
            headers[self._place] = (_NAME, b"%d" % length)
        return headers
