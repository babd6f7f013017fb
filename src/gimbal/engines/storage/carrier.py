"""Takes what processes have put down in their journals to its store: in order, and again until the store has taken it.

The store must take a record twice as if it came once. Journals of processes that are gone are carried to their end and
removed. Of several carriers one carries a journal. Rounds are apart by a multiple of what the last one took, so that the store
gets few large batches instead of many small ones; what comes after a pause is carried at once.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from gimbal.engines.storage.journal import (
    CARRIED,
    LOCK,
    RECORDS,
    UNFINISHED,
    announced,
    either,
    end_of,
    framed,
    place_in,
    placed,
    waiting,
    whole,
)
from gimbal.kernel.errors import BadInput, Busy, DeadlineExceeded, Unavailable

_log = logging.getLogger(__name__)
_COMPANY_S, _MOST_COMPANY_S, _TIMES = 0.02, 1.0, 20
_SOON_S, _LATER_S, _LIVELY_S = 0.05, 0.25, 5.0
_AGAIN_S, _MOST_AGAIN_S = 0.25, 5.0
_READ = 4 * 1024 * 1024
_CARRIER, _DAMAGED, _REJECTED, _GONE = "carrier", ".damaged", "rejected", f"{UNFINISHED}gone-"
_OF_STORE = (Busy, Unavailable, DeadlineExceeded, OSError, MemoryError)
"""What a store raises that cannot take anything now: it is waited for, however long."""
_SICK = 8
"""Of so many records one is taken by a store that is well."""

Carry = Callable[[Sequence[bytes]], Awaitable[None]]


class Carrier:
    """Carries all journals in a folder. `run` in a task; `close` carries what is left."""

    def __init__(self, base: Path, carry: Carry, *, at_once: int = 2000) -> None:
        self._base = base
        self._carry = carry
        self._at_once = at_once
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._held: dict[Path, _Left] = {}
        self._took = self._last = 0.0
        self.carried = 0
        """Records that the store took."""
        self.rejected = 0
        """Records that the store will not take, kept in a file beside the journals."""

    def wake(self) -> None:
        """Look at once: something was put down."""
        if not self._wake.is_set():
            self._wake.set()

    def hurry(self) -> None:
        """Do not wait for company: somebody waits for what was put down."""
        self._hurry.set()
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until stopped."""
        stopping = asyncio.ensure_future(stop.wait())
        some = False
        try:
            while not stop.is_set():
                if not some:
                    await either(stopping, self._wake, self._pause())
                if some or self._wake.is_set():
                    await either(stopping, self._hurry, self._company())
                self._wake.clear()
                self._hurry.clear()
                some = await self._timed_round(stop)
        finally:
            stopping.cancel()

    async def _timed_round(self, stop: asyncio.Event) -> bool:
        """Carry what there is; return whether there was anything."""
        begun, before = time.monotonic(), self.carried
        try:
            await self._round(stop)
        except OSError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _AGAIN_S)
        if self.carried == before:
            return False
        self._last = time.monotonic()
        self._took = self._last - begun
        return True

    async def close(self) -> None:
        """Carry what is left, for a few seconds at most; what the store does not take then waits for the next carrier."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_MOST_AGAIN_S):
                await self._round(asyncio.Event(), rest=True)
        for left in self._held.values():
            left.let_go()
        self._held.clear()

    def _company(self) -> float:
        """Return after how many seconds to carry what there is: a commit of many costs little more than one of one."""
        apart = min(_TIMES * self._took, _MOST_COMPANY_S)
        return max(_COMPANY_S, self._last + apart - time.monotonic())

    def _pause(self) -> float:
        """Return after how many seconds to look at what other processes have put down, who tell nobody."""
        return _SOON_S if time.monotonic() - self._last < _LIVELY_S else _LATER_S

    async def _round(self, stop: asyncio.Event, *, rest: bool = False) -> None:
        failed: OSError | None = None
        for left in self._journals():
            if stop.is_set():
                return
            try:
                dead = left.dead()
                if not dead and left.nothing_new():
                    continue
                if await self._carry_most(left, stop, rest=rest or dead) and dead:
                    left.remove()
                    del self._held[left.folder]
            except OSError as problem:
                # A full disk, say: what could not be noted as carried is carried once more. Others do not wait for it.
                _log.error("the journal %s cannot be carried now: %s", left.folder, problem)
                failed = problem
        if failed is not None:
            raise failed

    def _journals(self) -> "Iterator[_Left]":
        if not self._base.is_dir():
            return
        with os.scandir(self._base) as entries:
            folders = sorted(Path(entry.path) for entry in entries if entry.is_dir())
        for folder in folders:
            if folder.name.startswith(_GONE):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if folder.name.startswith(UNFINISHED):
                continue
            if folder not in self._held:
                with contextlib.suppress(BlockingIOError, FileNotFoundError):  # another carries it, or has just done so
                    self._held[folder] = _Left(folder)
            if folder in self._held:
                yield self._held[folder]

    async def _carry_most(self, left: "_Left", stop: asyncio.Event, *, rest: bool) -> bool:
        """Carry what is there now, with `rest` what comes meanwhile as well; return whether none is left."""
        there = waiting(left.folder)
        while batch := left.read(self._at_once):
            if not await self._carried_or_rejected([record for record, _ in batch], stop):
                return False
            there -= left.mark(batch[-1][1])
            await asyncio.sleep(0)  # whoever is served by this loop goes between
            if stop.is_set():
                return False
            if not rest and there <= 0 and not left.many():
                # What came meanwhile waits for company, or the store would get what came in each of its commits.
                return False
        return True

    async def _carried_or_rejected(self, batch: Sequence[bytes], stop: asyncio.Event) -> bool:
        """Carry a batch however often it takes; what the store will never take is put aside. False when stopped before."""
        wait = _AGAIN_S
        while True:
            try:
                refused = await self._refused(batch)
                # Once more, now that others were taken: the store may have come back in the middle.
                refused = [bad for record, _ in refused for bad in await self._refused([record])]
            except _OF_STORE as problem:
                _log.warning("records wait for their store: %s", problem)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), getattr(problem, "retry_after", None) or wait)
                    return False
                wait = min(wait * 2, _MOST_AGAIN_S)
            else:
                for record, problem in refused:
                    _log.error("a record was put aside that cannot be stored: %s", problem, exc_info=problem)
                    self._reject(record)
                return True

    async def _refused(self, batch: Sequence[bytes]) -> list[tuple[bytes, Exception]]:
        """Carry a batch; return what of it the store does not take, though it takes others. Raise one of `_OF_STORE`."""
        try:
            await self._carry(batch)
        except _OF_STORE:
            raise
        except Exception as problem:
            # One bad record must not keep all that follow.
            if len(batch) == 1:
                return [(batch[0], problem)]
            half = len(batch) // 2
            refused = [bad for part in (batch[:half], batch[half:]) for bad in await self._refused(part)]
            if len(refused) == len(batch) >= _SICK and not isinstance(problem, BadInput):
                # Not one of so many is good: it is the store that is bad, and nothing is put aside for that.
                raise Unavailable(f"The store takes none of {len(batch)} records: {problem}") from problem
            return refused
        self.carried += len(batch)
        return []

    def _reject(self, record: bytes) -> None:
        with (self._base / _REJECTED).open("ab") as file:
            file.write(framed(record))
        self.rejected += 1


class _Left:
    """A process's folder as whoever carries it sees it."""

    def __init__(self, folder: Path) -> None:
        """Take it; raise BlockingIOError when another carries it."""
        self.folder = folder
        self._lock = os.open(folder / _CARRIER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise
        self._held_by = str(folder / LOCK)
        self._records: Path | None = None
        self._place = 0

    def dead(self) -> bool:
        """Tell whether its process is gone; then nothing comes any more."""
        try:
            file = os.open(self._held_by, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Whoever removed it was ended in the middle.
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True

    def nothing_new(self) -> bool:
        """Tell whether the one segment there is holds nothing that is not carried: asked many times a second of all."""
        if self._records is None or end_of(self._records) > self._place:
            return False
        with os.scandir(self.folder) as entries:
            return [entry.name for entry in entries if entry.name.endswith(RECORDS)] == [self._records.name]

    def read(self, most: int) -> list[tuple[bytes, int]]:
        """Return the next records with the place behind each; those of one segment."""
        while True:
            segments = sorted(self.folder.glob(f"*{RECORDS}"))
            if not segments:
                return []
            if segments[0] != self._records:
                self._records, self._place = segments[0], place_in(segments[0])
            # Where another follows it does not grow any more.
            found = self._whole(segments[0], most)
            if found or (len(segments) == 1 and not self.dead()):
                return found
            if len(segments) == 1 and (found := self._whole(segments[0], most)):
                return found
            self._done_with(segments[0])

    def _whole(self, records: Path, most: int) -> list[tuple[bytes, int]]:
        left = end_of(records) - self._place
        if left <= 0:
            return []
        with records.open("rb", buffering=0) as file:
            raw = os.pread(file.fileno(), min(left, _READ), self._place)
            found = list(whole(raw, self._place, most))
            if not found and (needed := announced(raw)) is not None and _READ < needed <= left:
                found = list(whole(os.pread(file.fileno(), needed, self._place), self._place, most))
        return found

    def many(self) -> bool:
        """Tell whether so much is left that it needs no company."""
        segments = list(self.folder.glob(f"*{RECORDS}"))
        return len(segments) > 1 or any(end_of(path) - self._place > _READ // 2 for path in segments)

    def mark(self, place: int) -> int:
        """Note up to where the segment that was read is carried; return how many bytes further that is."""
        assert self._records is not None, "read runs before"
        further, self._place = place - self._place, place
        file = os.open(self._records.with_suffix(CARRIED), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, placed(place), 0)
        finally:
            os.close(file)
        return further

    def _done_with(self, records: Path) -> None:
        """Remove a segment that has been carried; one that holds what is no record stays under another name."""
        if end_of(records) > self._place:
            kept = records.rename(records.with_suffix(_DAMAGED))
            _log.error("%s has records that cannot be read from byte %d on: it is kept", kept, self._place)
        else:
            records.unlink()
        records.with_suffix(CARRIED).unlink(missing_ok=True)
        self._records = None

    def remove(self) -> None:
        """Remove the folder of a process that is gone, and let it go; what is damaged stays."""
        if not any(self.folder.glob(f"*{_DAMAGED}")):
            # By one step out of sight: half removed it would be no journal that anybody could read.
            shutil.rmtree(self.folder.rename(self.folder.with_name(f"{_GONE}{self.folder.name}")), ignore_errors=True)
        self.let_go()

    def let_go(self) -> None:
        """Let others carry it."""
        os.close(self._lock)
