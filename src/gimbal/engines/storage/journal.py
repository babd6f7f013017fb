"""A journal on local disk: what was put down survives the process, and goes to its store as soon as that takes it.

For telemetry of hot paths, whose callers cannot wait for a store. `append` writes to the operating system before it
returns, so a process that is killed loses nothing; the disk has it some tens of milliseconds later. `run` carries records to
their store in order, and again until it has taken them; the store must take a record twice as if it came once. Each process
writes a folder of its own under a lock, and takes over what processes left that are gone.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from gimbal.kernel.errors import Busy, DiskFull, GimbalError, Unavailable
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)
_HEAD = struct.Struct("<II")
_AT = struct.Struct("<Q")
_COMPANY_S, _SYNC_S, _IDLE_S, _AGAIN_S, _MOST_AGAIN_S = 0.02, 0.05, 1.0, 0.25, 5.0
_READ = 4 * 1024 * 1024
_RECORDS, _LOCK, _PLACE, _REJECTED = "records", "lock", "carried", "rejected"

Carry = Callable[[Sequence[bytes]], Awaitable[None]]


class JournalState(msgspec.Struct, frozen=True, kw_only=True):
    """Figures for /metrics."""

    waiting_bytes: int
    """Put down and not in the store yet."""
    appended: int
    carried: int
    rejected: int
    """Records that the store will not take, kept in a file beside the journal."""
    refused: int
    """Records that there was no room for."""


class Journal:
    """One process's journal. `open` first; `run` in a task; `close` carries what is left."""

    def __init__(self, folder: Path, carry: Carry, *, most_bytes: int, at_once: int = 64) -> None:
        self._base = folder
        self._carry = carry
        self._most = most_bytes
        self._at_once = at_once
        self._mine: _Records | None = None
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._appended = self._carried = self._rejected = self._refused = 0

    def open(self) -> None:
        """Make this process's folder; raise DiskFull when that cannot be done."""
        try:
            self._mine = _Records(self._base / new_id())
        except OSError as problem:
            raise _full(problem) from None

    def append(self, record: bytes) -> None:
        """Put a record down; raise Busy when too much waits, DiskFull when it cannot be written. Then nothing is kept."""
        mine = self._mine
        assert mine is not None, "open runs before"
        if mine.size - mine.carried + len(record) > self._most:
            self._refused += 1
            raise Busy(
                f"{mine.size - mine.carried} bytes of records wait for the store already.",
                kept="nothing of this record",
                todo="See what keeps the store, or raise the journal's limit.",
                retry_after=1.0,
            )
        try:
            mine.append(record)
        except OSError as problem:
            self._refused += 1
            raise _full(problem) from None
        self._appended += 1
        if not self._wake.is_set():
            self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Carry records until stopped: first those that were left behind, then this process's own as they come."""
        stopping = asyncio.ensure_future(stop.wait())
        syncing = asyncio.ensure_future(self._sync(stop))
        try:
            await self._take_over(stop)
            while not stop.is_set():
                waking = asyncio.ensure_future(self._wake.wait())
                timeout = _IDLE_S if self._mine and self._mine.size else None
                await asyncio.wait({waking, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                if not self._wake.is_set():
                    if self._mine is not None:
                        self._mine.forget()
                    continue
                await asyncio.sleep(_COMPANY_S)  # for company: a commit of many costs little more than one of one
                self._wake.clear()
                await self._drain(stop)
        finally:
            stopping.cancel()
            await syncing

    async def close(self) -> None:
        """Carry what is left, for a few seconds at most; what the store does not take then waits for the next process."""
        if self._mine is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOST_AGAIN_S):
                await self._drain(asyncio.Event())
        empty = self._mine.size == self._mine.carried
        self._mine.close(remove=empty)
        self._mine = None

    async def settled(self, seconds: float) -> bool:
        """Wait until what has been put down is carried, so many seconds at most; return whether it is."""
        mine = self._mine
        if mine is None:
            return True
        target = mine.size
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: mine.carried >= target or mine.carried == mine.size)
                return True
        return False

    def state(self) -> JournalState:
        """Return the figures as they stand."""
        return JournalState(
            waiting_bytes=self._mine.size - self._mine.carried if self._mine else 0,
            appended=self._appended,
            carried=self._carried,
            rejected=self._rejected,
            refused=self._refused,
        )

    async def _sync(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SYNC_S)
            if self._mine is not None and self._mine.dirty:
                await asyncio.to_thread(self._mine.sync)

    async def _take_over(self, stop: asyncio.Event) -> None:
        """Carry what processes left that are gone."""
        for folder in sorted(path for path in self._base.iterdir() if path.is_dir()):
            if stop.is_set() or (self._mine is not None and folder == self._mine.folder):
                continue
            try:
                left = _Records(folder)
            except BlockingIOError:  # its process lives
                continue
            whole = await self._carry_all(left, stop)
            if whole and left.damaged:
                _log.error("%s has records that cannot be read: it stays as it is", left.folder / _RECORDS)
            left.close(remove=whole and not left.damaged)

    async def _drain(self, stop: asyncio.Event) -> None:
        if self._mine is not None:
            await self._carry_all(self._mine, stop)

    async def _carry_all(self, records: "_Records", stop: asyncio.Event) -> bool:
        """Carry records until there are none left; return False when stopped before."""
        while batch := records.read(self._at_once):
            if not await self._carried_or_rejected(records, [record for record, _ in batch], stop):
                return False
            records.mark(batch[-1][1])
            async with self._moved:
                self._moved.notify_all()
            await asyncio.sleep(0)  # whoever is served by this loop goes between
        return True

    async def _carried_or_rejected(self, records: "_Records", batch: Sequence[bytes], stop: asyncio.Event) -> bool:
        """Carry a batch however often it takes; what the store will never take is put aside. False when stopped before."""
        wait = _AGAIN_S
        while True:
            try:
                await self._carry(batch)
            except (Busy, Unavailable) as problem:
                _log.warning("records wait for their store: %s", problem.message)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), problem.retry_after or wait)
                    return False
                wait = min(wait * 2, _MOST_AGAIN_S)
            except Exception as problem:  # noqa: BLE001 - one bad record must not keep all that follow
                if len(batch) > 1:
                    return all([await self._carried_or_rejected(records, [one], stop) for one in batch])
                _log.error("a record was put aside that cannot be stored: %s", problem, exc_info=problem)
                records.reject(batch[0])
                self._rejected += 1
                return True
            else:
                self._carried += len(batch)
                return True


class _Records:
    """The records of one process, and how far they have been carried."""

    def __init__(self, folder: Path) -> None:
        """Take a folder; raise BlockingIOError when its process lives."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise
        self._file = os.open(folder / _RECORDS, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._place = os.open(folder / _PLACE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = os.fstat(self._file).st_size
        said = os.pread(self._place, _AT.size, 0)
        place = _AT.unpack(said)[0] if len(said) == _AT.size else 0
        self.carried: int = place if place <= self.size else 0
        self.dirty = False

    def append(self, record: bytes) -> None:
        data = _HEAD.pack(len(record), zlib.crc32(record)) + record
        written = os.write(self._file, data)
        if written != len(data):
            # The disk is full: half a record must not stand before the next one.
            os.ftruncate(self._file, self.size)
            raise OSError(28, "No space left on device")
        self.size += written
        self.dirty = True

    def read(self, most: int) -> list[tuple[bytes, int]]:
        """Return the next records with the place behind each; what is torn at the end of a dead process's file is none."""
        raw = os.pread(self._file, _READ, self.carried)
        found = list(_whole(raw, self.carried, most))
        if not found and len(raw) >= _HEAD.size and (needed := _HEAD.unpack_from(raw)[0] + _HEAD.size) > len(raw):
            raw = os.pread(self._file, needed, self.carried)
            found = list(_whole(raw, self.carried, most))
        return found

    @property
    def damaged(self) -> bool:
        """Whether something is left that is no record: more than one that was cut off when its process died."""
        raw = os.pread(self._file, _HEAD.size, self.carried)
        return len(raw) == _HEAD.size and self.carried + _HEAD.size + _HEAD.unpack(raw)[0] <= self.size

    def mark(self, place: int) -> None:
        self.carried = place
        os.pwrite(self._place, _AT.pack(place), 0)

    def forget(self) -> None:
        """Give the disk back when everything has been carried."""
        if self.size and self.carried == self.size:
            # In this order: whoever is killed between carries all of it again.
            os.pwrite(self._place, _AT.pack(0), 0)
            os.ftruncate(self._file, 0)
            self.size = self.carried = 0

    def reject(self, record: bytes) -> None:
        with (self.folder.parent / _REJECTED).open("ab") as file:
            file.write(_HEAD.pack(len(record), zlib.crc32(record)) + record)

    def sync(self) -> None:
        self.dirty = False
        os.fdatasync(self._file)

    def close(self, *, remove: bool) -> None:
        if not remove:
            os.fsync(self._file)
        for file in (self._file, self._place):
            os.close(file)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _whole(raw: bytes, begin: int, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield the whole records in `raw`, which begins at `begin` of the file."""
    at = 0
    while most and at + _HEAD.size <= len(raw):
        length, check = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + length
        record = raw[at + _HEAD.size : end]
        if end > len(raw) or zlib.crc32(record) != check:
            return
        yield record, begin + end
        at, most = end, most - 1


def _full(problem: OSError) -> GimbalError:
    return DiskFull(
        f"The journal cannot be written: {problem.strerror or problem}.",
        kept="everything that was put down before",
        todo="Make room on the disk.",
    )
