"""Backup and restore of the embedded set: catalog, columns and blobs in one folder, with a digest of every file.

A backup is taken of a running installation: SQLite by its online backup, the columns table by table in ClickHouse's
Native format, blobs by copying what is immutable anyway. The order is catalog first, so that everything that the catalog
names is in the copy of the others. Everything is on disk before the folder gets its name. A restore checks every digest
before it writes anything.
"""

import asyncio
import contextlib
import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from gimbal.engines.storage.columns import Columns
from gimbal.kernel.errors import BadInput, ConfigurationError, Conflict, DiskFull, GimbalError

MANIFEST = "manifest.json"
CATALOG = "catalog.sqlite"
_FORMAT = 2
_CHUNK = 1 << 20
_FEEDS = re.compile(r"\sTO\s+(?:`?\w+`?\.)?`?(\w+)`?")
_under_way: set[Path] = set()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    version: str
    """Version of Gimbal that wrote it."""
    at: datetime
    files: dict[str, str]
    """BLAKE3 by relative path."""
    erasures: list[dict[str, Any]] = []
    """What was erased since: a restore takes it out again before anything is served. Plain records of whoever erases."""


def _digest(path: Path, *, sync: bool = False) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
        if sync:
            os.fsync(file.fileno())
    return hasher.hexdigest()


def _sync_folder(path: Path) -> None:
    entry = os.open(path, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


@contextlib.contextmanager
def _named(where: str, kept: str) -> Iterator[None]:
    """Name what the file system refuses: DiskFull, or BadInput for a place that cannot be written or read."""
    try:
        yield
    except OSError as problem:
        full = problem.errno in {errno.ENOSPC, errno.EDQUOT}
        kind = DiskFull if full else BadInput
        raise kind(
            f"{problem.filename or 'A file'}: {problem.strerror or problem}.",
            where=where,
            kept=kept,
            todo="Make room there." if full else "Name another folder, or correct the rights of this one.",
        ) from problem


async def backup(*, catalog: Path, columns: Columns, blobs: Path, target: Path, version: str, at: datetime) -> Manifest:
    """Write a backup into the new folder `target`; a backup that fails leaves nothing.

    Raise BadInput when the target exists or cannot be written, Conflict while another backup into it is under way.
    """
    with _named("target", "nothing of the backup"):
        if target.exists() or target.is_symlink():
            raise BadInput(f"{target} exists already.", where="target", todo="Name a folder that does not exist yet.")
        partial = target.with_name(target.name + ".part")
        if partial in _under_way:
            raise Conflict(f"A backup into {target} is under way.", where="target", todo="Wait for it.")
        _under_way.add(partial)
        try:
            # What is there was left by a server that was killed.
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
            partial.mkdir(parents=True, mode=0o700)
            await asyncio.to_thread(_copy_catalog, catalog, partial / CATALOG)
            await _dump(columns, partial / "columns")
            await asyncio.to_thread(_copy_blobs, blobs, partial / "blobs")
            return await asyncio.to_thread(_seal, partial, target, version, at)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            _under_way.discard(partial)


def _seal(partial: Path, target: Path, version: str, at: datetime, erasures: Sequence[dict[str, Any]] = ()) -> Manifest:
    """Write the manifest, see that everything is on disk, and only then give the folder its name."""
    paths = sorted(p for p in partial.rglob("*") if p.is_file())
    files = {p.relative_to(partial).as_posix(): _digest(p, sync=True) for p in paths}
    manifest = Manifest(format=_FORMAT, version=version, at=at, files=files, erasures=list(erasures))
    _write_manifest(partial / MANIFEST, manifest)
    for folder in [*(p for p in partial.rglob("*") if p.is_dir()), partial]:
        _sync_folder(folder)
    partial.rename(target)
    _sync_folder(target.parent)
    return manifest


def _write_manifest(path: Path, manifest: Manifest) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    _digest(path, sync=True)


def note_erasures(target: Path, erasures: Sequence[dict[str, Any]]) -> None:
    """Note in a backup what was erased since, each once by its `erasure`; its files stay as they are.

    Raise ConfigurationError when it is none.
    """
    manifest = read_manifest(target)
    new = {one["erasure"] for one in erasures}
    known = [one for one in manifest.erasures if one["erasure"] not in new]
    beside = target.with_name(f"{target.name}.{MANIFEST}.new")
    with _named("target", "the backup as it was"):
        _write_manifest(beside, msgspec.structs.replace(manifest, erasures=[*known, *erasures]))
        beside.replace(target / MANIFEST)
        _sync_folder(target)


async def rewritten(
    target: Path, change: Callable[[Path], Awaitable[None]], erasures: Sequence[dict[str, Any]]
) -> Manifest:
    """Change a copy of a backup, seal it, and put it in the place of the backup, of which nothing stays.

    Raise ConfigurationError when the backup is damaged; whatever fails leaves it as it was.
    """
    new, old = (target.with_name(f"{target.name}.{word}") for word in ("scrubbed", "unscrubbed"))
    with _named("path", "the backup as it was"):
        if old.exists() and not target.exists():
            # Somebody was killed between the two renames.
            old.rename(target)
        await asyncio.to_thread(_remove, old, new)
        manifest = await asyncio.to_thread(check, target)
        partial = target.with_name(f"{target.name}.part")
        if partial in _under_way:
            raise Conflict(f"{target} is being rewritten.", where="path", todo="Wait for it.")
        _under_way.add(partial)
        try:
            await asyncio.to_thread(_link_all, target, partial)
            await change(partial)
            sealed = await asyncio.to_thread(_seal, partial, new, manifest.version, manifest.at, erasures)
            target.rename(old)
            new.rename(target)
            _sync_folder(target.parent)
            await asyncio.to_thread(_remove, old)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            _under_way.discard(partial)
    return sealed


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)


def _link_all(source: Path, target: Path) -> None:
    """Make a copy of a backup without its manifest; whoever changes a file of it replaces the file."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir()
        elif path.name != MANIFEST or path.parent != source:
            try:
                copy.hardlink_to(path)
            except OSError:
                shutil.copyfile(path, copy)


def _copy_catalog(source: Path, target: Path) -> None:
    # Read only: a source that is missing is an error, not a new empty catalog.
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(address, uri=True)) as read,
        contextlib.closing(sqlite3.connect(target)) as write,
    ):
        read.backup(write)
        # One file holds all of it, and nothing beside it.
        write.execute("PRAGMA journal_mode=DELETE")


def _copy_blobs(source: Path, target: Path) -> None:
    # Blobs never change; a hard link is a copy that costs nothing, where the file system can.
    target.mkdir()
    for path in source.glob("??/??/*"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, copy)


async def _dump(columns: Columns, folder: Path) -> None:
    """Write the rows of each table, a file per table, from the engine to the disk without passing through here."""
    folder.mkdir()
    rows = await columns.query(
        "SELECT name, engine, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    views = [row for row in rows if str(row["engine"]).endswith("View")]
    # The migrations write the one; inserting into its source fills what a view feeds.
    skip = {"schema_migrations", *(str(row["name"]) for row in views)}
    skip |= {found[1] for row in views if (found := _FEEDS.search(str(row["create_table_query"])))}
    for name in (str(row["name"]) for row in rows):
        if name in skip:
            continue
        # By a reading handle, so that writers do not wait for it.
        await columns.query(
            f"INSERT INTO FUNCTION file({{path:String}}, 'Native') SELECT * FROM `{name}`",
            {"path": str(folder / f"{name}.native")},
        )


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup, its files unread; raise ConfigurationError where there is none that we read."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ConfigurationError(
            f"{source} is not a backup: {problem}.", where=str(source), todo="Name the folder that a backup wrote."
        ) from None
    if manifest.format != _FORMAT:
        raise ConfigurationError(
            f"The backup has the format {manifest.format}, and this Gimbal reads {_FORMAT}.",
            where=str(source),
            kept="nothing was restored",
            todo=f"Use Gimbal {manifest.version}, which wrote it.",
        )
    return manifest


def check(source: Path) -> Manifest:
    """Return the manifest of a backup whose every file is as it was written; raise ConfigurationError otherwise."""
    manifest = read_manifest(source)
    present = {p.relative_to(source).as_posix() for p in source.rglob("*") if not p.is_dir()} - {MANIFEST}
    strange = sorted(present - set(manifest.files))
    if strange:
        raise _damaged(source, f"{strange[0]} does not belong to the backup.")
    for name, digest in {CATALOG: "", **manifest.files}.items():
        path = source / name
        if name not in present or path.is_symlink() or _digest(path) != digest:
            raise _damaged(source, f"{name} is missing or was changed.")
    return manifest


def _damaged(source: Path, message: str) -> GimbalError:
    return ConfigurationError(message, where=str(source), kept="nothing was restored", todo="Use another backup.")


def check_empty(data: Path) -> None:
    """Raise BadInput when a data folder has anything in it."""
    with _named("data", "it as it was"):
        if data.exists() and any(data.iterdir()):
            raise BadInput(
                f"{data} is not empty.", where="data", kept="it as it was", todo="Restore into a new folder."
            )


def lay(source: Path, data: Path) -> None:
    """Lay catalog and blobs of a checked backup into a data folder; raise BadInput, DiskFull.

    The columns follow by `load` once the tables have been made by the migrations.
    """
    with _named("data", "the backup"):
        shutil.copyfile(source / CATALOG, data / CATALOG)
        (data / "blobs" / "tmp").mkdir(parents=True)
        # A backup without blobs may have lost its empty folder on the way.
        if (source / "blobs").is_dir():
            shutil.copytree(source / "blobs", data / "blobs", dirs_exist_ok=True)


async def load(source: Path, columns: Columns) -> dict[str, int]:
    """Insert the rows of a backup into the empty tables; return how many per table.

    Columns that a table has got since take their defaults.
    """
    found: dict[str, int] = {}
    for path in sorted((source / "columns").glob("*.native")):
        name, file = path.stem, {"path": str(path.absolute())}
        found[name] = 0
        if path.stat().st_size == 0:
            continue
        there = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
        known = {str(row["name"]) for row in await columns.query(there, {"table": name})}
        given = await columns.query("DESCRIBE file({path:String}, 'Native')", file)
        names = ", ".join(f"`{row['name']}`" for row in given if row["name"] in known)
        if not names:
            raise ConfigurationError(
                f"The backup has rows of {name}, which this Gimbal does not know.",
                where=str(source),
                kept="nothing was restored",
                todo="Use the Gimbal that wrote it.",
            )
        await columns.command(
            f"INSERT INTO `{name}` ({names}) SELECT {names} FROM file({{path:String}}, 'Native')", file
        )
        counted = await columns.query("SELECT count() AS n FROM file({path:String}, 'Native')", file)
        found[name] = int(counted[0]["n"])
    return found
