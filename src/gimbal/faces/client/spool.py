"""What could not be sent, on disk: one folder per server and project, one file per batch, oldest first.

A file is written beside its place, synced and renamed, so that what has its name is whole; it goes away when the server
has answered. Processes share a folder: each writes files of its own, and a lock lets one of them send at a time. What is
no longer what was written is set aside and named in the log. `courier` decides what comes here and when it is sent, and
`run_courier` does for what belongs to runs.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gimbal.faces.client.outbox import PASSING
from gimbal.kernel.errors import DiskFull, Forbidden, GimbalError, NotAuthenticated

_log = logging.getLogger("gimbal")
DEFAULT_BYTES = 256 * 2**20
_FILE_BYTES = 2**20
_ASIDE = (".damaged", ".refused")
Lines = Sequence[bytes]
Outcome = Literal["sent", "empty", "taken"]


class Kind(NamedTuple):
    """What lines are. Kinds share folders and the bytes that they may have, and no files and no turn."""

    noun: str
    magic: bytes
    suffix: str
    part: str
    lock: str


SPANS = Kind("spans", b"gimbal-spool-1", ".spans", ".part", ".sending")
RUNS = Kind("requests of runs", b"gimbal-runs-1", ".runs", ".runs-part", ".sending-runs")


class _Stamps:
    """Names of files count up, also within a nanosecond and when the clock steps back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last


_stamps = _Stamps()


def spool_folder() -> Path | None:
    """Return the folder of all spools: GIMBAL_SPOOL, or one in the user's state folder; None where there is no home."""
    if named := os.environ.get("GIMBAL_SPOOL"):
        return Path(named).absolute()
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "gimbal" / "spool"
    except RuntimeError:
        return None


def spool_bytes() -> int:
    """Return how many bytes all spools together may have: GIMBAL_SPOOL_BYTES, 0 for none; 256 MiB unless told."""
    told = os.environ.get("GIMBAL_SPOOL_BYTES", "").strip()
    if told and not told.isdigit():
        _log.warning("GIMBAL_SPOOL_BYTES is no number of bytes: %r; it is taken as %d", told, DEFAULT_BYTES)
    return int(told) if told.isdigit() else DEFAULT_BYTES


class Spool:
    """What waits on disk for one project of one server: lines of one kind, as JSON without line feeds."""

    def __init__(
        self, url: str, project: str, *, root: Path | None = None, most: int | None = None, kind: Kind = SPANS
    ) -> None:
        self._kind = kind
        self._root = root or spool_folder()
        self._most = spool_bytes() if most is None else most
        readable = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2])[:60].strip("-")
        digest = hashlib.blake2b(f"{url}\n{project}".encode(), digest_size=8).hexdigest()
        self._name = f"{readable}-{digest}"

    @property
    def folder(self) -> Path:
        """Where the files of this server and project are."""
        return (self._root or Path()) / self._name

    @property
    def usable(self) -> bool:
        """Whether there is a folder, and room allowed in it."""
        return self._root is not None and self._most > 0

    @staticmethod
    def stamp() -> int:
        """Return a place in the order of files, behind all that were given before."""
        return _stamps.next()

    def put(self, lines: Lines, *, stamp: int | None = None) -> list[Path]:
        """Store lines durably, in files of about 1 MiB, at a place in the order (now when left out); return the files.

        Raise DiskFull when they would be more than all spools may have, and OSError when the disk does not take them;
        lines of a call that raises may be there in part.
        """
        at = _stamps.next() if stamp is None else stamp
        return [self._write(batch, f"{at:020d}", part) for part, batch in enumerate(_batches(lines))]

    def count(self) -> int:
        """Return how many lines wait."""
        return sum(int(path.name.split("-")[1]) for path in self._waiting())

    def send_next(self, send: Callable[[Lines], None]) -> Outcome:
        """Send the oldest file and remove it; tell whether one was sent, none is there, or another process is at it.

        Raise what `send` raises when the file is to be tried again: what passes by itself, and a key that is not good.
        Any other refusal sets the file aside.
        """
        if not self._there(self._kind.suffix, self._kind.part):
            return "empty"
        with self._turn() as mine:
            if not mine:
                return "taken"
            self._sweep()
            for path in self._waiting():
                lines = self._read(path)
                if lines is None:
                    continue
                try:
                    send(lines)
                except (*PASSING, NotAuthenticated, Forbidden):
                    raise
                except GimbalError as problem:
                    aside = _set_aside(path, ".refused")
                    _log.warning(
                        "%d spooled %s were refused and are set aside as %s: %s",
                        len(lines),
                        self._kind.noun,
                        aside,
                        problem,
                    )
                else:
                    path.unlink(missing_ok=True)
                return "sent"
            return "empty"

    def _waiting(self) -> list[Path]:
        return sorted(self._there(self._kind.suffix))

    def _there(self, *suffixes: str) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.suffix in suffixes]
        except OSError:
            return []

    def _write(self, lines: Lines, stamp: str, number: int) -> Path:
        body = b"\n".join(lines)
        head = b"%s %d %s\n" % (self._kind.magic, len(lines), _digest(body))
        self._make_room(len(head) + len(body))
        # They tell what users said: nobody else may read them.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{stamp}-{len(lines)}-{number:04d}{secrets.token_hex(6)}"
        part = self.folder / (name + self._kind.part)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                # Held while it is written: a part that nobody holds was left by a process that is gone.
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(head)
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
                whole = part.rename(part.with_suffix(self._kind.suffix))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)
        return whole

    def _make_room(self, need: int) -> None:
        if self._root is None or self._most == 0:
            raise DiskFull("There is no spool.", todo="Name a folder by GIMBAL_SPOOL.")
        sizes = dict(_sizes(self._root))
        total = sum(sizes.values()) + need
        # Nothing sends what was set aside: it goes before anything new is lost.
        for path in sorted(p for p in sizes if p.suffix in _ASIDE):
            if total > self._most:
                path.unlink(missing_ok=True)
                _log.warning("the spool was full: %s, which had been set aside, was removed", path)
                total -= sizes[path]
        if total > self._most:
            raise DiskFull(
                f"The spool has its {self._most:,} bytes.",
                where=str(self._root),
                todo="Start the server, or allow more by GIMBAL_SPOOL_BYTES.",
            )

    def _read(self, path: Path) -> Lines | None:
        """Return the lines of a file; set it aside and return None when it is not what was written."""
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError as problem:
            if path.exists():
                _log.warning("the spool file %s cannot be read: %s", path, problem)
            return None
        words = head.split()
        lines = body.split(b"\n")
        if words == [self._kind.magic, b"%d" % len(lines), _digest(body)]:
            return lines
        _log.warning("a damaged spool file is set aside as %s", _set_aside(path, ".damaged"))
        return None

    @contextlib.contextmanager
    def _turn(self) -> Iterator[bool]:
        """Hold the lock of those who send, if nobody else does; a process that dies gives it back."""
        try:
            file = (self.folder / self._kind.lock).open("ab")
        except OSError:
            yield False
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _sweep(self) -> None:
        """Remove parts that a process left when it was killed."""
        for path in self._there(self._kind.part):
            with contextlib.suppress(OSError), path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _batches(lines: Lines) -> Iterator[Lines]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > _FILE_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield batch


def _sizes(root: Path) -> Iterable[tuple[Path, int]]:
    for path in root.glob("*/*"):
        with contextlib.suppress(OSError):  # sent by another process meanwhile
            yield path, path.stat().st_size


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _set_aside(path: Path, suffix: str) -> Path:
    aside = path.with_suffix(suffix)
    with contextlib.suppress(OSError):
        path.rename(aside)
    return aside


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
