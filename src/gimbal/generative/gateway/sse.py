"""Server-sent events: an incremental parser for what providers send, and the lines that we send.

The parser follows the WHATWG text (lines end in LF, CR or CRLF, several `data` lines are one value, comments are
skipped); an event that does not end within the limit is an Upstream error, not a memory leak.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from gimbal.kernel.errors import Upstream

MAX_EVENT_BYTES = 16 * 1024 * 1024
DONE = b"data: [DONE]\n\n"
_encoder = msgspec.json.Encoder()


class ServerEvent(msgspec.Struct, frozen=True):
    """One event."""

    data: bytes
    name: str = ""


class EventParser:
    """Feed it bytes as they come, take events as they are complete."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._rest = b""
        self._data: list[bytes] = []
        self._name = ""
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that `chunk` completes."""
        raw = self._rest + chunk
        if not self._begun and len(raw) >= 3:
            raw, self._begun = raw.removeprefix(b"\xef\xbb\xbf"), True
        # A CR at the very end may be the first half of a CRLF: it waits for the next chunk.
        held = raw.endswith(b"\r")
        text = (raw[:-1] if held else raw).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + (b"\r" if held else b"")
        events = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + len(self._rest) > self._limit:
            raise Upstream(f"The provider sent an event of more than {self._limit} bytes.", todo="Ask its operator.")
        return events

    def end(self) -> list[ServerEvent]:
        """Return the event that was complete but for its blank line when the stream ended; some servers end so."""
        events = self.feed(b"\n\n")
        self._rest = b""
        return events

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            event = ServerEvent(b"\n".join(self._data), self._name) if self._data else None
            self._data, self._name, self._size = [], "", 0
            return event
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[ServerEvent]:
    """Yield the events of a body."""
    parser = EventParser()
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
    for event in parser.end():
        yield event


def line(payload: Any) -> bytes:
    """Return one event whose data is `payload` as JSON."""
    return b"data: " + _encoder.encode(payload) + b"\n\n"
