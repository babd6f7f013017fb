"""Parts of what is stored: what a Range header asks for, and reading a file between two places.

Source: RFC 9110, sections 13 and 14. One range of bytes is served; several at once, and what cannot be read as a range,
are answered with the whole, as the RFC allows.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator

import msgspec

from gimbal.engines.storage.uploads import REMEMBERED, forget
from gimbal.kernel.errors import Unavailable

_STEP = 4 << 20
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE | re.ASCII)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """From which byte to before which one."""

    start: int
    end: int


class Unsatisfiable(msgspec.Struct, frozen=True):
    """A range that begins behind the end."""


def asked_part(header: str, size: int) -> Part | Unsatisfiable | None:
    """Return the part of `size` bytes that a Range header asks for; None means the whole."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        last = int(found[2])
        return Part(start=max(0, size - last), end=size) if last and size else Unsatisfiable()
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
    if end <= start and found[2]:
        return None
    return Part(start=start, end=min(end, size)) if start < size else Unsatisfiable()


def is_among(tag: str, header: str, *, weak: bool = True) -> bool:
    """Tell whether an entity tag (with its quotes) is among those of If-None-Match or If-Range; `*` means any."""
    given = [one.strip() for one in header.split(",")]
    if weak:
        given = [one.removeprefix("W/") for one in given]
    return tag in given or (weak and "*" in given)


async def read_between(file: int, start: int, end: int | None) -> AsyncIterator[bytes]:
    """Yield what is in an open file from `start` to before `end` (None: its end), and close it.

    The next piece is read while the one before it is sent. Raise Unavailable when the file is shorter than `end`.
    """
    loop, begin = asyncio.get_running_loop(), start
    ahead: asyncio.Future[bytes] | None = None
    try:
        if end is None:
            end = os.fstat(file).st_size
        while start < end:
            if ahead is None:
                ahead = loop.run_in_executor(None, os.pread, file, min(_STEP, end - start), start)
            piece = await asyncio.shield(ahead)
            ahead = None
            if not piece:
                raise Unavailable(
                    "A stored file is shorter than it was.",
                    todo="Restore it from a backup; see that the disk is sound.",
                )
            start += len(piece)
            forget(file, max(begin, start - len(piece) - REMEMBERED), start - REMEMBERED)
            if start < end:
                ahead = loop.run_in_executor(None, os.pread, file, min(_STEP, end - start), start)
            yield piece
    finally:
        # Not before the thread that reads from it is done.
        if ahead is None:
            os.close(file)
        else:
            ahead.add_done_callback(lambda _: os.close(file))
