"""Bytes that come in: while some are hashed and written in a thread, those that follow are received. Each is written once.

A file is whole and synced, or nothing of it is left: what fails half-way takes its temporary file with it.
"""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import AsyncIterable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from gimbal.kernel.errors import DiskFull

GATHERED = 4 << 20
"""Bytes that are handed to the disk at once; as many may be on their way there while as many are being received."""
# More pieces than this are joined first: the system takes only so many in one call.
_MOST_PIECES = 256
REMEMBERED = 256 << 20
"""Bytes behind the place that is written or read now which the system may keep in memory."""
_NOT_NEEDED = getattr(os, "POSIX_FADV_DONTNEED", None)


async def gather(chunks: AsyncIterable[bytes], take: Callable[[list[bytes]], None]) -> list[bytes]:
    """Hand chunks to `take` in a thread, some MiB at a time and one call at a time; return those that were left over."""
    pieces, held = list[bytes](), 0
    busy: asyncio.Future[None] | None = None
    async for chunk in chunks:
        pieces.append(chunk)
        held += len(chunk)
        if held >= GATHERED:
            if busy is not None:
                await busy
            busy = asyncio.get_running_loop().run_in_executor(None, take, pieces)
            pieces, held = [], 0
    if busy is not None:
        await busy
    return pieces


class Kept(NamedTuple):
    """What was received."""

    hexes: str
    """Its BLAKE3 digest, 64 hex digits."""
    size: int


class Spool:
    """A temporary file with the hash of what is in it. It is made with the first piece that does not fit into memory.

    Threads use it one after another: one whose caller went away may still write when the file is discarded.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{secrets.token_hex(16)}.part"
        self._lock = threading.Lock()
        self._file: int | None = None
        self._gone = False
        self._hasher = blake3()
        self._size = 0

    def take(self, pieces: list[bytes]) -> None:
        """Write and hash some pieces."""
        with self._lock, told():
            if self._gone:
                return
            if self._file is None:
                self._file = self._made()
            if len(pieces) > _MOST_PIECES:
                pieces = [b"".join(pieces)]
            for piece in pieces:
                self._hasher.update(piece)
            self._size += write_at(self._file, pieces, self._size)

    def sealed(self, pieces: list[bytes]) -> Kept:
        """Take the last pieces; return what all of them are."""
        if self._file is not None:
            if pieces:
                self.take(pieces)
        else:
            for piece in pieces:
                self._hasher.update(piece)
                self._size += len(piece)
        return Kept(self._hasher.hexdigest(), self._size)

    def move(self, target: Path, pieces: list[bytes], *, root: Path) -> None:
        """Sync the file and let it be `target`; `pieces` are all of it where nothing was written so far."""
        with self._lock, told():
            if self._gone:
                return
            if self._file is None:
                self._file = self._made()
                write_at(self._file, pieces, 0)
            os.fsync(self._file)
            os.close(self._file)
            self._file, self._gone = None, True
            place(self._path, target, root=root)

    def _made(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def path(self) -> Path | None:
        """Return the file with everything in it; None while all fits into memory."""
        return None if self._file is None else self._path

    def discard(self) -> None:
        """Let nothing be left; once more changes nothing."""
        with self._lock:
            self._gone = True
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._path.unlink(missing_ok=True)


def write_at(file: int, pieces: list[bytes], offset: int) -> int:
    """Write pieces at a place of a file; return how many bytes that were."""
    start, left = offset, [memoryview(piece) for piece in pieces if piece]
    while left:
        done = os.pwritev(file, left[:_MOST_PIECES], offset)
        offset += done
        while left and done >= len(left[0]):
            done -= len(left.pop(0))
        if done:
            left[0] = left[0][done:]
    forget(file, start, offset)
    forget(file, start - REMEMBERED, offset - REMEMBERED)
    return offset - start


def forget(file: int, start: int, end: int) -> None:
    """Tell the system that what stands between two places of a file is not needed soon, where it can be told.

    Linux begins to write out what is not on the disk yet and does not wait, so the sync at the end has little left to do; what is
    there it gives up. A large file that comes through then takes the same memory over and over, and not that of all others.
    """
    start = max(0, start)
    if _NOT_NEEDED is not None and end > start:
        os.posix_fadvise(file, start, end - start, _NOT_NEEDED)


def place(source: Path, target: Path, *, root: Path) -> None:
    """Let a synced file be `target`, two folders below `root`, so that it is there after a loss of power."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    for parent in (target.parent, target.parent.parent, root):
        sync_folder(parent)


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Say in our words that the disk did not take something."""
    try:
        yield
    except OSError as problem:
        raise DiskFull(
            f"The blob could not be stored: {problem.strerror}.", kept="nothing of it", todo="Make room."
        ) from problem
