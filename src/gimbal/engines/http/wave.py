"""Small packets that go out together at the end of a turn of the event loop.

Each packet alone wakes the process that waits for it, and that costs the sender more than all else it does to send it. Where
many connections are served in one turn, those woken by the first packet find the others when they look.
"""

import asyncio
import logging
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from gimbal.kernel.settings import KIB

_log = logging.getLogger(__name__)
# Who sends more in one turn is held back by what the network takes, so that it must be asked.
_MOST: Final = 64 * KIB


class Transport(Protocol):
    """What bytes go out by."""

    def write(self, data: bytes, /) -> None:
        """Send bytes."""
        ...

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        ...


class Wave:
    """What leaves at the end of this turn, in the order in which it was written."""

    __slots__ = ("_busy", "_loop", "_open", "_packets", "_size", "_written")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._packets: list[tuple[Transport, bytes]] = []
        self._size = 0
        self._open = False
        """Whether something was written in this turn."""
        self._written = 0
        """Packets of this turn."""
        self._busy = False
        """Whether there were several in the turn before."""

    def write(self, transport: Transport, data: bytes) -> None:
        """Send bytes at the end of this turn; with much that waits, or where they are alone, at once."""
        self._written += 1
        if not self._open:
            self._open = True
            self._loop.call_soon(self._turned)
            if not self._busy:
                # Hardly anything goes with it, and its receiver waits.
                _send(transport, data)
                return
        self._packets.append((transport, data))
        self._size += len(data)
        if self._size > _MOST:
            self.flush()

    def flush(self) -> None:
        """Send now what waits: before bytes that take another way over one of these transports, and before it is closed."""
        packets = self._packets
        if packets:
            self._packets, self._size = [], 0
            for transport, data in packets:
                _send(transport, data)

    def _turned(self) -> None:
        self._open, self._busy, self._written = False, self._written > 1, 0
        self.flush()


def _send(transport: Transport, data: bytes) -> None:
    if not transport.is_closing():
        try:
            transport.write(data)
        except Exception:  # noqa: BLE001 - the others' packets go all the same
            _log.warning("a packet could not be sent", exc_info=True)


_waves: WeakKeyDictionary[asyncio.AbstractEventLoop, Wave] = WeakKeyDictionary()


def wave_of(loop: asyncio.AbstractEventLoop) -> Wave:
    """Return the wave that all connections of a loop share."""
    wave = _waves.get(loop)
    if wave is None:
        wave = _waves[loop] = Wave(loop)
    return wave
