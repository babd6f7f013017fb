"""Where the sockets of model processes are: in the run folder, or in a short private folder where their paths would be too long.

The kernel keeps the path of a unix socket in a field of fixed size. Where the data folder is too deep for that, the host
makes a folder that only its own user may enter and writes its place into the run folder, where pools look for it.
"""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from gimbal.kernel.errors import Unavailable
from gimbal.predictive.serving import wire

MOST = 103 if sys.platform == "darwin" else 107
"""Bytes that the path of a unix socket may have."""
_PREFIX = "gimbal-"


class Sockets:
    """The folder of the sockets of one installation's model processes."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._near = _fits(run)
        self._place = run / "sockets"
        """Says where the private folder is."""

    def find(self, digest: str) -> Path | None:
        """Return the socket of a version's process, or None while no host has made a folder for it."""
        folder = self._run if self._near else self._private()
        return None if folder is None else wire.socket_path(folder, digest)

    def make(self, digest: str) -> Path:
        """Return where the socket of a version's process is to be, in a folder that is there.

        Raise Unavailable where no folder for it can be made.
        """
        # Looked at each time: what is in a folder for temporary files may be swept away.
        folder = self._run if self._near else self._private() or self._fresh()
        return wire.socket_path(folder, digest)

    def empty(self) -> None:
        """Remove the sockets that an earlier life left."""
        for folder in (self._run, None if self._near else self._private()):
            for left in folder.glob("*.sock") if folder else ():
                left.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the private folder, if there is one."""
        if not self._near and (folder := self._private()) is not None:
            shutil.rmtree(folder, ignore_errors=True)
        self._place.unlink(missing_ok=True)

    def _private(self) -> Path | None:
        """Return the private folder that is written down; None unless it is this user's own and nobody else may enter it."""
        try:
            folder = Path(os.fsdecode(self._place.read_bytes()))
            found = folder.lstat()
        except (OSError, ValueError):
            return None
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        return folder if own and folder.name.startswith(_PREFIX) else None

    def _fresh(self) -> Path:
        """Make a private folder and write its place down."""
        for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp below it
            # As long as the name that mkdtemp gives.
            if not parent or not _fits(Path(parent) / f"{_PREFIX}12345678"):
                continue
            with contextlib.suppress(OSError):
                # Its name cannot be guessed, it is new, and nobody else may enter it.
                folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=Path(parent).absolute()))
                fresh = self._place.with_suffix(".new")
                fresh.write_bytes(os.fsencode(folder))
                fresh.replace(self._place)
                return folder
        raise Unavailable(
            f"The path of the data folder is too long for sockets ({MOST} bytes), and no shorter folder can be made.",
            where=str(self._run),
            todo="Let TMPDIR name a short folder that Gimbal may write to, or move the data folder.",
        )


def _fits(folder: Path) -> bool:
    return len(os.fsencode(wire.socket_path(folder, "0" * wire.KEY))) <= MOST
