"""A file that comes in parts: each is written at its place in one file as it comes, and the whole is checked at the end.

The parts may come in any order and over several processes; all but the last have one size. Of each part that is whole a
line is noted with its digest. What was noted and lost (parts are synced at the end only) is found when the whole is read.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from gimbal.engines.storage.uploads import Kept, gather, place, told, write_at
from gimbal.kernel.errors import BadInput, NotFound

MOST_PARTS = 10_000
_ID = re.compile(r"[0-9a-f]{64}")
_STEP = 4 << 20


TargetOf = Callable[[Kept], Path | None]
"""Says where a whole file belongs; None where the same is there already."""


class _Noted(NamedTuple):
    size: int
    hexes: str


class _State(NamedTuple):
    parts: int
    size: int | None
    """Of all parts but the last; None until one came."""
    noted: dict[int, _Noted]


class PartFiles:
    """Uploads in parts in a folder; `root` is where whole files are placed."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._root = root

    async def begin(self, upload: str, parts: int) -> None:
        """Make room for an upload of so many parts."""
        if not 1 <= parts <= MOST_PARTS:
            raise BadInput(
                f"An upload has 1 to {MOST_PARTS} parts, not {parts}.", where="parts", todo="Use larger parts."
            )

        def make() -> None:
            with told():
                self._list(upload).write_text(f"parts {parts}\n")

        await asyncio.to_thread(make)

    async def put(self, upload: str, number: int, chunks: AsyncIterable[bytes], size: int | None) -> str:
        """Write a part of `size` bytes; return its digest, 64 hex digits. Raise NotFound, or BadInput for a wrong part."""
        if size is None:
            raise BadInput("A part says its length.", where="Content-Length", todo="Send it with the part, not packed.")
        state = await asyncio.to_thread(self._claim, upload, number, size)
        last = number == state.parts and number > 1
        path = self._path(upload, "last" if last else "whole")
        offset = 0 if last else (number - 1) * size
        writing = _Writing(path, offset)
        try:
            pieces = await gather(chunks, writing.take)
            await asyncio.to_thread(writing.take, pieces)
        finally:
            await asyncio.shield(asyncio.to_thread(writing.close))
        kept = writing.kept()
        if kept.size != size:
            raise BadInput(f"The part has {kept.size} bytes, not {size}.", where="body", todo="Send it again.")
        await asyncio.to_thread(self._note, upload, f"part {number} {size} {kept.hexes}\n")
        return kept.hexes

    async def complete(self, upload: str, digests: Mapping[int, str], target_of: TargetOf) -> Kept:
        """Put the parts together; return what the whole is. Raise BadInput when a part is missing or is another one."""
        return await asyncio.to_thread(self._complete, upload, digests, target_of)

    async def abort(self, upload: str) -> None:
        """Let nothing be left of an upload; once more is fine."""
        await asyncio.to_thread(self._remove, upload)

    def _claim(self, upload: str, number: int, size: int) -> _State:
        with self._alone(upload) as state:
            if not 1 <= number <= state.parts:
                raise BadInput(f"There is no part {number} of {state.parts}.", where="part", todo="Count from 1.")
            if number == state.parts and number > 1:
                return state
            if state.size is None:
                self._append(upload, f"size {size}\n")
            elif state.size != size:
                raise BadInput(
                    f"Part {number} has {size} bytes, others have {state.size}.",
                    where="Content-Length",
                    todo="All parts but the last have one size.",
                )
            return state

    def _note(self, upload: str, line: str) -> None:
        with self._alone(upload):
            self._append(upload, line)

    def _append(self, upload: str, line: str) -> None:
        with told(), self._list(upload).open("a") as file:
            file.write(line)

    @contextlib.contextmanager
    def _alone(self, upload: str) -> Iterator[_State]:
        """Hold an upload against other threads and processes, and read what is noted of it; raise NotFound."""
        try:
            file = os.open(self._list(upload), os.O_RDONLY)
        except FileNotFoundError:
            raise NotFound("There is no such upload.", where="upload_id", todo="Begin it again.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file).st_nlink:
                raise NotFound("The upload has ended.", where="upload_id", todo="Begin it again.")
            yield _read(os.pread(file, os.fstat(file).st_size, 0).decode())
        finally:
            os.close(file)

    def _complete(self, upload: str, digests: Mapping[int, str], target_of: TargetOf) -> Kept:
        with self._alone(upload) as state:
            for number in range(1, state.parts + 1):
                if number not in state.noted:
                    raise BadInput(f"Part {number} has not come.", where="parts", todo="Send it, then complete again.")
            for number, digest in digests.items():
                if number not in state.noted or state.noted[number].hexes != digest:
                    raise BadInput(f"Part {number} is not the one that came.", where="parts", todo="Send it again.")
            unnamed = set(state.noted) - set(digests)
            if digests and unnamed:
                raise BadInput(f"Part {min(unnamed)} is not named.", where="parts", todo="Name all parts.")
            whole = self._path(upload, "whole")
            with told():
                file = os.open(whole, os.O_RDWR)
                try:
                    if state.parts > 1:
                        _join(file, self._path(upload, "last"), (state.parts - 1) * (state.size or 0))
                    os.ftruncate(file, sum(one.size for one in state.noted.values()))
                    kept = _checked(file, state)
                    os.fsync(file)
                finally:
                    os.close(file)
                if (target := target_of(kept)) is not None:
                    place(whole, target, root=self._root)
            self._remove(upload)
            return kept

    def _remove(self, upload: str) -> None:
        for path in (self._path(upload, "whole"), self._path(upload, "last"), self._list(upload)):
            path.unlink(missing_ok=True)

    def _list(self, upload: str) -> Path:
        return self._path(upload, "list")

    def _path(self, upload: str, kind: str) -> Path:
        if not _ID.fullmatch(upload):
            raise NotFound("There is no such upload.", where="upload_id", todo="Begin it again.")
        return self._folder / f"{upload}.{kind}"


class _Writing:
    """A part on its way into a file. A thread whose caller went away may still write when it is closed."""

    def __init__(self, path: Path, offset: int) -> None:
        with told():
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._offset = offset
        self._hasher, self._size = blake3(), 0

    def take(self, pieces: list[bytes]) -> None:
        with self._lock, told():
            if self._file is not None:
                for piece in pieces:
                    self._hasher.update(piece)
                self._size += write_at(self._file, pieces, self._offset + self._size)

    def kept(self) -> Kept:
        return Kept(self._hasher.hexdigest(), self._size)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None


def _read(text: str) -> _State:
    parts, size, noted = 0, None, dict[int, _Noted]()
    for line in text.splitlines():
        kind, *values = line.split()
        if kind == "parts":
            parts = int(values[0])
        elif kind == "size":
            size = int(values[0])
        else:
            noted[int(values[0])] = _Noted(int(values[1]), values[2])
    return _State(parts, size, noted)


def _join(file: int, last: Path, offset: int) -> None:
    with last.open("rb") as source:
        while piece := source.read(_STEP):
            offset += write_at(file, [piece], offset)


def _checked(file: int, state: _State) -> Kept:
    """Return what the whole is; raise BadInput where a part is not what was noted."""
    whole, offset = blake3(), 0
    for number in range(1, state.parts + 1):
        noted, part = state.noted[number], blake3()
        end = offset + noted.size
        while offset < end and (piece := os.pread(file, min(_STEP, end - offset), offset)):
            part.update(piece)
            whole.update(piece)
            offset += len(piece)
        if part.hexdigest() != noted.hexes:
            raise BadInput(f"Part {number} is damaged.", where="parts", kept="the others", todo="Send it again.")
    return Kept(whole.hexdigest(), offset)


def sweep(folder: Path, age_s: float) -> int:
    """Remove temporary files that nobody wrote to for so long; return how many. A lost upload is given up by that."""
    gone, before = 0, time.time() - age_s
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                gone += 1
    return gone
