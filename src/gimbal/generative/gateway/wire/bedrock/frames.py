"""The binary framing of AWS event streams: messages with headers, each with a checksum of its head and of all of it.

One message: its length and that of its headers (4 bytes each), the CRC-32 of those 8, the headers, the payload, and the CRC-32
of everything before. One header: the length of its name (1 byte), the name, its type (1 byte), and the value.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

import msgspec

from gimbal.generative.gateway.wire.answers import BrokeOff

MAX_FRAME_BYTES = 16 * 1024 * 1024
_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_SHORT = struct.Struct("!H")
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a value by its type; types 6 (bytes) and 7 (text) begin with their length."""
_BYTES, _TEXT = 6, 7


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message."""

    headers: dict[str, str]
    """Those that are texts."""
    payload: bytes


class FrameParser:
    """Feed it bytes as they come, take messages as they are complete."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        self._held = b""

    @property
    def idle(self) -> bool:
        """Whether no message has begun that is not complete."""
        return not self._held

    def end(self) -> Iterable[Frame]:
        """Return nothing: a message says how long it is."""
        return ()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the messages that `chunk` completes; raise BrokeOff for what is none."""
        held = self._held + chunk if self._held else chunk
        place = 0
        while len(held) - place >= _PRELUDE.size:
            size, headers, crc = _PRELUDE.unpack_from(held, place)
            if crc != zlib.crc32(held[place : place + 8]) or size < headers + 16 or size > self._limit:
                raise _broken("a message whose head is damaged")
            if len(held) - place < size:
                break
            end = place + size
            if _CRC.unpack_from(held, end - 4)[0] != zlib.crc32(held[place : end - 4]):
                raise _broken("a message whose checksum is another")
            begin = place + _PRELUDE.size
            yield Frame(_headers(held[begin : begin + headers]), held[begin + headers : end - 4])
            place = end
        self._held = held[place:]


def _headers(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    try:
        while place < len(raw):
            size = raw[place]
            name = raw[place + 1 : place + 1 + size].decode()
            kind = raw[place + 1 + size]
            place += 2 + size
            if kind in {_BYTES, _TEXT}:
                (size,) = _SHORT.unpack_from(raw, place)
                place += 2 + size
                if kind == _TEXT:
                    found[name] = raw[place - size : place].decode()
            else:
                place += _FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        raise _broken("a message whose headers cannot be read") from None
    if place != len(raw):
        raise _broken("a message whose headers cannot be read")
    return found


def _broken(what: str) -> BrokeOff:
    return BrokeOff(f"The provider sent {what}.", kept="what was streamed before", todo="Try again.")
