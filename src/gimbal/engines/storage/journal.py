"""A journal on local disk: what was put down survives the process, and `carrier` takes it to its store.

For telemetry of hot paths, whose callers cannot wait for a store. `append` writes into a mapped file, so a process that is
killed loses nothing; the disk has it some tens of milliseconds later, or when `durable` returns. Each process writes a folder of its own under a lock,
in segments; who carries them, in this process or another, removes those it is done with.

A segment has its whole length from the beginning, so that a full disk is found when it is made. Its first eight bytes say up
to where it is written: they are set when a record stands behind them.
"""

import asyncio
import contextlib
import fcntl
import logging
import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gimbal.kernel.errors import Busy, DiskFull, GimbalError
from gimbal.kernel.ids import new_id

_HEAD = struct.Struct("<II")
_PLACE = struct.Struct("Q")
"""In the machine's own order: so it is written at once, and nobody reads half of it."""
_SYNC_S, _IDLE_S, _LOOK_S = 0.05, 1.0, 0.005
_SEED = 1
"""So that zeros, which stand where nothing has been written, are no record."""
SEGMENT_BYTES = 16 * 1024 * 1024
LOCK, RECORDS, CARRIED = "lock", ".records", ".carried"
START = _PLACE.size
"""Where the first record of a segment stands."""
UNFINISHED = "."
"""How the names of folders and segments begin that are being made."""
# macOS has neither of the two that Linux has for this.
_sync_data = getattr(os, "fdatasync", os.fsync)
_log = logging.getLogger(__name__)


class Journal:
    """The side that puts down, for one process. `open` first; `run` in a task; `close` last."""

    def __init__(
        self,
        base: Path,
        *,
        most_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        woken: Callable[[], None] = lambda: None,
    ) -> None:
        """Journals of all processes are in `base`; `woken` is told of every record."""
        self._base = base
        self._most = most_bytes
        self._most_of_segment = segment_bytes
        self._woken = woken
        self._folder = base
        self._lock = self._file = -1
        self._map: mmap.mmap | None = None
        self._number = self._room = 0
        self._size = self._length = 0
        self._last = 0.0
        self._dirty = False
        self._put = asyncio.Event()
        self._ended: list[tuple[int, mmap.mmap]] = []
        """Segments that are full and not on the disk yet."""
        self._unlisted: list[Path] = []
        """Folders whose entries are not on the disk yet."""
        self._syncing: asyncio.Task[None] | None = None
        self._synced = 0
        self.appended = 0
        """Records that were put down."""
        self.refused = 0
        """Records that there was no room for."""

    def open(self) -> None:
        """Make this process's folder; raise DiskFull when that cannot be done."""
        name = new_id()
        making = self._base / f"{UNFINISHED}{name}"
        try:
            making.mkdir(parents=True)
            self._lock = os.open(making / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever carries sees it only once it is locked: else it would pass for that of a dead process.
            self._folder = making.rename(self._base / name)
            self._unlisted = [self._base.parent, self._base]
            self._begin()
        except OSError as problem:
            raise _full(problem) from None

    def append(self, record: bytes) -> None:
        """Put a record down; raise Busy when too much waits, DiskFull when it cannot be written. Then nothing is kept."""
        data = framed(record)
        if len(data) > self._room:
            self._look_for_room(len(data))
        try:
            self._write(data)
        except OSError as problem:
            self.refused += 1
            raise _full(problem) from None
        self.appended += 1
        if not self._put.is_set():
            self._put.set()
        self._woken()

    async def run(self, stop: asyncio.Event) -> None:
        """Bring to the disk what was put down, until stopped."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                if not self._dirty and not self._ended:
                    # A journal that nobody writes to wakes nobody.
                    await either(stopping, self._put, _IDLE_S if self._size > START else None)
                if self._put.is_set() or self._dirty or self._ended:
                    await either(stopping, None, _SYNC_S)
                    self._put.clear()
                if self._dirty or self._ended:
                    try:
                        await asyncio.shield(self._one_sync())
                    except OSError as problem:
                        # Whoever waits for it is told; the next turn tries again.
                        _log.error("a journal cannot be brought to the disk now: %s", problem)
                elif self._size > START and time.monotonic() - self._last > _IDLE_S and not waiting(self._folder):
                    # What has been carried is given back to the disk by whoever carries once it is not the newest segment.
                    with contextlib.suppress(OSError):
                        self._begin()
        finally:
            stopping.cancel()

    async def durable(self) -> None:
        """Return when the disk has what was put down until now; raise DiskFull when it does not take it.

        One sync at a time serves all who wait: those who come while it runs wait for the next one.
        """
        wanted = self.appended
        while self._synced < wanted:
            try:
                await asyncio.shield(self._one_sync())
            except OSError as problem:
                raise _full(problem) from None

    def close(self) -> None:
        """End it; what has not been carried waits for whoever carries next."""
        _to_disk(self._file, self._ended, self._unlisted)
        if self._map is not None:
            self._map.close()
        for file in (self._file, self._lock):
            os.close(file)

    def waiting(self) -> int:
        """Return the bytes that were put down and are not in the store yet."""
        return waiting(self._folder)

    def _look_for_room(self, needed: int) -> None:
        waits = waiting(self._folder)
        self._room = self._most - waits
        if needed > self._room:
            self.refused += 1
            raise Busy(
                f"{waits} bytes of records wait for the store already.",
                kept="nothing of this record",
                todo="See what keeps the store, or raise the journal's limit.",
                retry_after=1.0,
            )

    def _write(self, data: bytes) -> None:
        end = self._size + len(data)
        if end > self._length:
            self._begin(len(data))
            end = self._size + len(data)
        mapped = self._map
        assert mapped is not None, "open runs before"
        mapped[self._size : end] = data
        _PLACE.pack_into(mapped, 0, end)
        self._size = end
        self._room -= len(data)
        self._dirty = True
        self._last = time.monotonic()

    def _begin(self, needed: int = 0) -> None:
        """Begin the next segment, with room for so many bytes at least."""
        number, length = self._number + 1, max(self._most_of_segment, START + needed)
        making = self._folder / f"{UNFINISHED}{number:08}"
        file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _reserve(file, length)
            mapped = mmap.mmap(file, length)
            _PLACE.pack_into(mapped, 0, START)
            # Whoever carries sees it only now that it says where it ends.
            making.rename(self._folder / f"{number:08}{RECORDS}")
        except BaseException:
            os.close(file)
            with contextlib.suppress(OSError):
                making.unlink()
            raise
        if self._map is not None:
            self._ended.append((self._file, self._map))
        if self._folder not in self._unlisted:
            self._unlisted.append(self._folder)
        self._file, self._map, self._number, self._size, self._length = file, mapped, number, START, length

    def _one_sync(self) -> "asyncio.Task[None]":
        """Return the sync that runs, or begin one: a second at once could close what the first has in hand."""
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        return self._syncing

    async def _sync(self) -> None:
        reach, self._dirty = self.appended, False
        ended, self._ended = self._ended, []
        unlisted, self._unlisted = self._unlisted, []
        try:
            await asyncio.to_thread(_to_disk, self._file, ended, unlisted)
            self._synced = max(self._synced, reach)
        finally:
            # After a failure they are tried again.
            self._dirty = self._dirty or self._synced < reach
            self._ended, self._unlisted = ended + self._ended, unlisted + self._unlisted
            self._syncing = None


async def either(stopping: "asyncio.Future[Any]", event: asyncio.Event | None, seconds: float | None) -> None:
    """Wait for the end, an event where one is given, or so long."""
    waits = {stopping} if event is None else {stopping, asyncio.ensure_future(event.wait())}
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits - {stopping}:
            one.cancel()


async def settled(base: Path, seconds: float) -> bool:
    """Wait until what all processes have put down here is carried, so many seconds at most; return whether it is."""
    until = time.monotonic() + seconds
    left = {path: end for path in _all(base) if (end := end_of(path)) > START}
    while left := {path: size for path, size in left.items() if path.exists() and place_in(path) < size}:
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def waiting(folder: Path) -> int:
    """Return the bytes in a process's folder that are not carried yet."""
    return sum(max(0, end_of(path) - place_in(path)) for path in folder.glob(f"*{RECORDS}"))


def end_of(records: Path) -> int:
    """Return up to where a segment is written; `START` for one that is not there any more."""
    try:
        file = os.open(records, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return START
    try:
        said = os.read(file, _PLACE.size)
    finally:
        os.close(file)
    return _PLACE.unpack(said)[0] if len(said) == _PLACE.size else START


def place_in(records: Path) -> int:
    """Return up to where a segment has been carried."""
    try:
        said = records.with_suffix(CARRIED).read_bytes()
    except FileNotFoundError:
        return START
    return _PLACE.unpack(said)[0] if len(said) == _PLACE.size else START


def placed(place: int) -> bytes:
    """Return what stands in the file beside a segment that has been carried up to a place."""
    return _PLACE.pack(place)


def whole(raw: bytes, begin: int, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield up to `most` whole records in `raw`, which begins at `begin` of its segment, with the place behind each."""
    at = 0
    while most and at + _HEAD.size <= len(raw):
        length, check = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + length
        record = raw[at + _HEAD.size : end]
        if end > len(raw) or zlib.crc32(record, _SEED) != check:
            return
        yield record, begin + end
        at, most = end, most - 1


def announced(raw: bytes) -> int | None:
    """Return how many bytes the record takes that `raw` begins with; None when not even that can be read."""
    return _HEAD.size + _HEAD.unpack_from(raw)[0] if len(raw) >= _HEAD.size else None


def framed(record: bytes) -> bytes:
    """Return a record as it stands in a segment."""
    return _HEAD.pack(len(record), zlib.crc32(record, _SEED)) + record


def _reserve(file: int, length: int) -> None:
    """Take room on the disk for a segment, so that a write into it cannot find the disk full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, length)
    else:
        zeros = bytes(1 << 20)
        for start in range(0, length, len(zeros)):
            os.pwrite(file, zeros[: length - start], start)


def _to_disk(file: int, ended: list[tuple[int, mmap.mmap]], folders: list[Path]) -> None:
    """Bring segments and the entries of folders to the disk; what has been brought is taken off the lists."""
    while ended:
        full, mapped = ended[0]
        _sync_data(full)
        mapped.close()
        os.close(full)
        ended.pop(0)
    _sync_data(file)
    while folders:
        folder = os.open(folders[0], os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        folders.pop(0)


def _all(base: Path) -> list[Path]:
    return [path for path in base.glob(f"*/*{RECORDS}") if not path.parent.name.startswith(UNFINISHED)]


def _full(problem: OSError) -> GimbalError:
    return DiskFull(
        f"The journal cannot be written: {problem.strerror or problem}.",
        kept="everything that was put down before",
        todo="Make room on the disk.",
    )
