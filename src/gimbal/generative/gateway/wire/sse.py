"""Server-sent events: an incremental parser for what providers send, and the lines that we send.

The parser follows the WHATWG text (lines end in LF, CR or CRLF, several `data` lines are one value, comments are
skipped); an event that does not end within the limit is an Upstream error, not a memory leak.
"""

from typing import Any

import msgspec

from gimbal.kernel.errors import Upstream

MAX_EVENT_BYTES = 16 * 1024 * 1024
DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.Encoder().encode
_BOM = b"\xef\xbb\xbf"


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One event."""

    data: bytes
    name: str = ""


class EventParser:
    """Feed it bytes as they come, take events as they are complete."""

    __slots__ = ("_begun", "_held", "_limit", "_size")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._held: list[bytes] = []
        """What came since the last event that was complete."""
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that `chunk` completes."""
        if self._begun and not self._held and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            # Most chunks are one event.
            block = chunk[:-2]
            if b"\n\n" not in block:
                event = _event(block)
                return [event] if event else []
        if self._held:
            self._held.append(chunk)
            # Without a blank line nothing can be complete; then what is held is not copied for every chunk.
            if b"\n\n" not in chunk and b"\r" not in chunk and not chunk.startswith(b"\n"):
                self._size += len(chunk)
                self._check()
                return []
            chunk = b"".join(self._held)
        if not self._begun:
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._hold(chunk)
                return []
            chunk, self._begun = chunk.removeprefix(_BOM), True
        tail = b""
        if b"\r" in chunk:
            # A CR at the very end may be the first half of a CRLF: it waits for the next chunk.
            if chunk.endswith(b"\r"):
                chunk, tail = chunk[:-1], b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = chunk.split(b"\n\n")
        self._hold(rest + tail)
        return [event for block in blocks if (event := _event(block))]

    def end(self) -> list[ServerEvent]:
        """Return the event that was complete but for its blank line when the stream ended; some servers end so."""
        if not self._held:
            return []
        self._begun = True
        return self.feed(b"\n\n")

    def _hold(self, rest: bytes) -> None:
        self._held = [rest] if rest else []
        self._size = len(rest)
        self._check()

    def _check(self) -> None:
        if self._size > self._limit:
            raise Upstream(f"The provider sent an event of more than {self._limit} bytes.", todo="Ask its operator.")


def _event(block: bytes) -> ServerEvent | None:
    """Return the event of the lines between two blank ones; None where they have no data."""
    if b"\n" not in block and block.startswith(b"data: "):
        return ServerEvent(block[6:])
    if block.startswith(b"event: "):
        head, _, value = block.partition(b"\ndata: ")
        if value and b"\n" not in value and b"\n" not in head:
            return ServerEvent(value, head[7:].decode("utf-8", "replace"))
    data: list[bytes] = []
    name = ""
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return ServerEvent(b"\n".join(data), name) if data else None


def line(payload: Any) -> bytes:
    """Return one event whose data is `payload` as JSON."""
    return b"data: " + _encode(payload) + b"\n\n"


def passed(data: bytes, name: str = "") -> bytes:
    """Return an event that goes on as it came."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


def named(name: str, payload: Any) -> bytes:
    """Return one event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + _encode(payload) + b"\n\n"
