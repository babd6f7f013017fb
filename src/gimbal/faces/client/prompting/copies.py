"""Prompts as the server last gave them, on disk: what a program starts with while the server is away.

One folder per server and project, one file per reference, named by its digest. A file is written beside its place and
renamed, so that processes may share a folder; it holds a checksum and what was asked for, and what does not agree with
them is not used. When it was last touched is when the server last said so.
"""

import contextlib
import hashlib
import logging
import os
import re
import secrets
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from gimbal.generative.prompts.model import PromptView
from gimbal.kernel.refs import Ref

_log = logging.getLogger("gimbal")
_MAGIC = b"gimbal-prompt-1"
_SUFFIX, _PART = ".prompt", ".part"
MOST_FILES, MOST_BYTES = 1_000, 64 * 2**20
# Nobody writes one for so long: its process was killed.
_ABANDONED_S = 3600.0


class Copy(NamedTuple):
    """What a reference meant when the server was last asked."""

    view: PromptView
    at: float
    """When that was, as Unix time."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    asked: str
    view: PromptView


def cache_folder() -> Path | None:
    """Return the folder of all copies: GIMBAL_CACHE, or one in the user's cache folder; None where there is no home."""
    if named := os.environ.get("GIMBAL_CACHE"):
        return Path(named).absolute()
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(caches) if caches else Path.home() / ".cache") / "gimbal"
    except RuntimeError:
        return None


class Copies:
    """The copies of one project of one server. Nothing here raises: without them a program asks the server."""

    def __init__(self, url: str, project: str) -> None:
        readable = re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2])[:60].strip("-")
        whole = _digest(f"{url}\n{project}".encode())
        self._name = f"{readable}-{whole[:16]}"
        self._writable = True

    @property
    def folder(self) -> Path | None:
        """Where they are."""
        root = cache_folder()
        return None if root is None else root / "prompts" / self._name

    def read(self, ref: Ref) -> Copy | None:
        """Return what there is of a reference; None without a copy, and for one that is not what was written."""
        path = self._path(ref)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                at = os.fstat(file.fileno()).st_mtime
                head, _, body = file.read().partition(b"\n")
        except OSError:
            return None
        if head.split() == [_MAGIC, _digest(body).encode()]:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
                kept = msgspec.json.decode(body, type=_Kept)
                if kept.asked == str(ref):
                    return Copy(kept.view, at)
        _log.warning("the copy %s of %s is damaged and is not used", path, ref)
        return None

    def write(self, ref: Ref, view: PromptView) -> None:
        """Keep what a reference means, and the version by its own name as well."""
        self._write(ref, view)
        exact = Ref.parse(view.ref)
        if exact != ref:
            self._write(exact, view)

    def confirm(self, ref: Ref) -> None:
        """Note that the server still says so."""
        with contextlib.suppress(OSError):
            if path := self._path(ref):
                os.utime(path)

    def forget(self, ref: Ref) -> None:
        """Remove the copy of a reference."""
        with contextlib.suppress(OSError):
            if path := self._path(ref):
                path.unlink()

    def _path(self, ref: Ref) -> Path | None:
        folder = self.folder
        return None if folder is None else folder / (_digest(str(ref).encode()) + _SUFFIX)

    def _write(self, ref: Ref, view: PromptView) -> None:
        path = self._path(ref)
        if path is None:
            return
        part = path.with_name(f"{path.stem}-{secrets.token_hex(6)}{_PART}")
        try:
            body = msgspec.json.encode(_Kept(asked=str(ref), view=view))
            # They are what a company tells its models: nobody else may read them.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(b"%s %s\n" % (_MAGIC, _digest(body).encode()))
                file.write(body)
            part.rename(path)
            _tidy(path.parent)
        except (OSError, UnicodeError, RecursionError, msgspec.MsgspecError) as problem:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if self._writable:
                _log.warning("prompts cannot be kept in %s for when the server is away: %s", path.parent, problem)
            self._writable = False
        else:
            self._writable = True


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _tidy(folder: Path) -> None:
    """Remove what the server said longest ago where there is too much, and parts of processes that were killed."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process tidies, too
            told = path.stat()
            if path.suffix == _SUFFIX:
                found.append((told.st_mtime, told.st_size, path))
            elif path.suffix == _PART and told.st_mtime < time.time() - _ABANDONED_S:
                path.unlink()
    size = 0
    for place, (_, more, path) in enumerate(sorted(found, reverse=True)):
        size += more
        # The newest stays, however large it is.
        if place >= MOST_FILES or (place and size > MOST_BYTES):
            with contextlib.suppress(OSError):
                path.unlink()
