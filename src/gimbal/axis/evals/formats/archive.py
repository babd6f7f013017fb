"""ZIP archives of others: members are read one at a time, within bounds, and odd archives are refused by the member's name."""

import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from gimbal.axis.evals.formats.files import MIB, opened
from gimbal.kernel.errors import BadInput, TooLarge

MOST_MEMBERS = 1_000_000
MOST_MEMBER = 256 * MIB
MOST_TOTAL = 16 * 1024 * MIB
_SUSPECT = 16 * MIB
_MOST_RATIO = 200
"""How far a member of some size may unfold; logs of text come to a tenth of it."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_ENCRYPTED = 0x1


class Archive:
    """An archive whose members were looked at before any is read."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        """Raise BadInput or TooLarge for an archive that is not as it should be."""
        self._path = path
        self._file = file
        self._members = {one.filename: one for one in file.infolist()}
        if len(file.infolist()) > MOST_MEMBERS:
            raise TooLarge(f"{path} has more than {MOST_MEMBERS:,} members.", where=str(path), todo="Split it.")
        seen: set[str] = set()
        for one in file.infolist():
            self._check(one, seen)
        if sum(one.file_size for one in file.infolist()) > MOST_TOTAL:
            raise TooLarge(f"{path} unfolds to more than {MOST_TOTAL // MIB:,} MiB.", where=str(path), todo="Split it.")

    @property
    def names(self) -> list[str]:
        """Names of the members, in the archive's order."""
        return list(self._members)

    def where(self, name: str) -> str:
        """Return a member's place, for messages."""
        return f"{self._path}!{name}"

    def read(self, name: str) -> bytes:
        """Return a member's bytes; raise BadInput where they are damaged."""
        try:
            return self._file.read(self._members[name])
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as problem:
            raise BadInput(
                f"{name!r} is damaged: {problem}.", where=self.where(name), todo="Copy the file anew."
            ) from None

    def _check(self, one: zipfile.ZipInfo, seen: set[str]) -> None:
        name, where = one.filename, self.where(one.filename)
        parts = PurePosixPath(name).parts
        if not name or name != one.orig_filename or "\\" in name or ":" in name.split("/")[0] or "\x00" in name:
            raise BadInput(f"{name!r} is no name of a member.", where=where, todo="Take it out.")
        if name.startswith("/") or ".." in parts:
            raise BadInput(f"{name!r} leads out of the archive.", where=where, todo="Take it out.")
        if name in seen:
            raise BadInput(f"{name!r} stands twice in the archive.", where=where, todo="Take one of them out.")
        seen.add(name)
        if one.flag_bits & _ENCRYPTED:
            raise BadInput(f"{name!r} is encrypted.", where=where, todo="Give the archive without a password.")
        if one.compress_type not in _METHODS:
            raise BadInput(
                f"{name!r} is compressed by method {one.compress_type}, which is not read here.",
                where=where,
                todo="Convert the log to .json, or write it anew with deflate.",
            )
        ratio = one.file_size / max(1, one.compress_size)
        if one.file_size > MOST_MEMBER or (one.file_size > _SUSPECT and ratio > _MOST_RATIO):
            raise TooLarge(
                f"{name!r} unfolds to {one.file_size // MIB:,} MiB, {ratio:,.0f} times its size.",
                where=where,
                todo="Take it out, if the archive is to be trusted at all.",
            )


@contextmanager
def archive(path: Path) -> Generator[Archive]:
    """Open an archive; raise BadInput, TooLarge."""
    with opened(path) as file:
        try:
            found = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError) as problem:
            raise BadInput(
                f"{path} is not a whole ZIP archive: {problem}.", where=str(path), todo="Copy the file anew."
            ) from None
        with found:
            yield Archive(path, found)
