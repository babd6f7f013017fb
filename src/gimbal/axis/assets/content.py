"""What may be in a version: a manifest of plain JSON within limits, files with sound paths whose bytes are there.

`service.Assets` asks this before it opens a transaction, so a bad version leaves nothing behind.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from blake3 import blake3

from gimbal.axis.assets.model import KINDS, AssetKind, FileEntry, canonical
from gimbal.engines.storage.blobs import PREFIX, Blobs
from gimbal.kernel.errors import BadInput, NotFound, TooLarge

MAX_MANIFEST = 1 << 20
MAX_FILES = 10_000
MAX_PATH = 500
MAX_NOTE = 2000
# RFC 6838 names, with parameters; it becomes a response header.
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,60}/[\w!#$&^.+-]{1,60}(?:; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_LOOKUPS = 16


def known_kind(name: str) -> AssetKind:
    """Return a registered kind; raise BadInput that lists those there are."""
    if name not in KINDS:
        raise BadInput(f"{name!r} is not a kind of asset.", where="kind", todo=f"Kinds are: {', '.join(KINDS)}.")
    return KINDS.get(name)


def plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest as it will be read again: plain JSON values; raise BadInput or TooLarge."""
    try:
        encoded = msgspec.json.encode(dict(manifest), enc_hook=str)
        found = msgspec.json.decode(encoded, type=dict[str, Any])
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
        raise BadInput(
            f"The manifest cannot be written as JSON: {str(problem)[:200]}.",
            where="manifest",
            todo="Use texts, numbers of at most 64 bits, lists and objects, not nested too deeply.",
        ) from None
    if len(encoded) > MAX_MANIFEST:
        raise TooLarge(
            f"The manifest has {len(encoded)} bytes; {MAX_MANIFEST} is the most.",
            where="manifest",
            todo="Put long content into a file of the version.",
        )
    return found


def digest(kind: str, manifest: dict[str, Any], files: list[FileEntry]) -> str:
    """Return the digest of a version of this content."""
    return PREFIX + blake3(canonical(kind, manifest, files)).hexdigest()


def check_note(text: str, where: str) -> str:
    """Return a remark for people; raise BadInput when it is longer than 2000 characters or holds U+0000."""
    if len(text) > MAX_NOTE or "\0" in text:
        raise BadInput(f"A {where} has at most {MAX_NOTE} characters, without U+0000.", where=where, todo="Shorten it.")
    return text


async def check_files(
    blobs: Blobs, files: Sequence[FileEntry], stored: Mapping[str, int] | None = None
) -> list[FileEntry]:
    """Return the entries by path; raise BadInput, or TooLarge, naming the file that is wrong.

    `stored` is the size by digest of blobs that were put just now: they are there and need not be renewed.
    """
    if len(files) > MAX_FILES:
        raise TooLarge(
            f"{len(files)} files are too many; {MAX_FILES} is the most.",
            where="files",
            todo="Pack them into one archive.",
        )
    paths: set[str] = set()
    for entry in files:
        _check_entry(entry)
        if entry.path in paths:
            raise _bad(entry, "is there twice")
        paths.add(entry.path)
    for path in paths:
        parts = path.split("/")
        folders = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if folders & paths:
            raise BadInput(f"{min(folders & paths)!r} is a file and a folder.", where="files", todo="Rename one.")
    known = stored or {}
    for entry in files:
        _check_size(entry, known.get(entry.digest, entry.size))
    gate = asyncio.Semaphore(_LOOKUPS)
    await asyncio.gather(*(_check_bytes(blobs, entry, gate) for entry in files if entry.digest not in known))
    return sorted(files, key=lambda f: f.path)


def _check_entry(entry: FileEntry) -> None:
    parts = entry.path.split("/")
    if not entry.path.isprintable() or "\\" in entry.path or len(entry.path) > MAX_PATH:
        raise _bad(entry, f"is not a path of at most {MAX_PATH} printable characters with /")
    if any(part in {"", ".", ".."} for part in parts):
        raise _bad(entry, "does not stay inside the version")
    if not _MEDIA_TYPE.fullmatch(entry.media_type):
        raise _bad(entry, f"has the media type {entry.media_type!r}, which is none")


async def _check_bytes(blobs: Blobs, entry: FileEntry, gate: asyncio.Semaphore) -> None:
    async with gate:
        try:
            size = await blobs.renew(entry.digest)
        except NotFound:
            raise BadInput(
                f"The bytes of {entry.path!r} ({entry.digest}) have not been uploaded.",
                where="files",
                todo="Upload them with blobs.put first.",
            ) from None
    _check_size(entry, size)


def _check_size(entry: FileEntry, size: int) -> None:
    if size != entry.size:
        raise _bad(entry, f"has {size} bytes, not {entry.size}")


def _bad(entry: FileEntry, what: str) -> BadInput:
    return BadInput(f"The file {entry.path[:200]!r} {what}.", where="files", todo="Mend the entry and send it again.")
