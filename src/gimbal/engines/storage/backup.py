"""Backup and restore of the embedded set: catalog, columns and blobs in one folder, with a digest of every file.

A backup is taken of a running installation: SQLite by its online backup, the columns table by table in ClickHouse's
Native format, blobs by copying what is immutable anyway. The order is catalog first, so that everything that the catalog
names is in the copy of the others. A restore checks every digest before it writes anything.
"""

import asyncio
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow as pa
from blake3 import blake3

from gimbal.engines.storage.columns import DATABASE, Columns
from gimbal.kernel.errors import BadInput, ConfigurationError

MANIFEST = "manifest.json"
_FORMAT = 1
_CHUNK = 1 << 20


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    version: str
    """Version of Gimbal that wrote it."""
    at: datetime
    files: dict[str, str]
    """BLAKE3 by relative path."""


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


async def backup(*, catalog: Path, columns: Columns, blobs: Path, target: Path, version: str, at: datetime) -> Manifest:
    """Write a backup into the new folder `target`; raise BadInput when it exists. A backup that fails leaves nothing."""
    if target.exists():
        raise BadInput(f"{target} exists already.", where="target", todo="Name a folder that does not exist yet.")
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        await asyncio.to_thread(_copy_catalog, catalog, partial / "catalog.sqlite")
        await _dump(columns, partial / "columns")
        await asyncio.to_thread(_copy_blobs, blobs, partial / "blobs")
        paths = sorted(p for p in partial.rglob("*") if p.is_file())
        files = {p.relative_to(partial).as_posix(): await asyncio.to_thread(_digest, p) for p in paths}
        manifest = Manifest(format=_FORMAT, version=version, at=at, files=files)
        (partial / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


def _copy_catalog(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as read, sqlite3.connect(target) as write:
        read.backup(write)


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
    """Write each table as its definition and its rows, an Arrow file per table."""
    folder.mkdir()
    rows = await columns.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {db:String} "
        "AND engine NOT IN ('MaterializedView', 'View') ORDER BY name",
        {"db": DATABASE},
    )
    for row in rows:
        name = str(row["name"])
        if name.startswith(".inner"):
            continue
        table = await columns.arrow(f"SELECT * FROM `{name}`")
        await asyncio.to_thread(_write_arrow, folder / f"{name}.arrow", table)


def _write_arrow(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def check(source: Path) -> Manifest:
    """Return the manifest of a backup whose every file is as it was written; raise ConfigurationError otherwise."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as problem:
        raise ConfigurationError(
            f"{source} is not a backup: {problem}.", where=str(source), todo="Name the folder that a backup wrote."
        ) from None
    if manifest.format != _FORMAT:
        raise ConfigurationError(
            f"The backup has the format {manifest.format}.", where=str(source), todo="Use a newer Gimbal."
        )
    for name, digest in manifest.files.items():
        path = source / name
        if not path.is_file() or _digest(path) != digest:
            raise ConfigurationError(
                f"{name} is missing or was changed.",
                where=str(source),
                kept="nothing was restored",
                todo="Use another backup.",
            )
    return manifest


def restore_files(source: Path, data: Path) -> Manifest:
    """Check a backup and lay catalog and blobs into a new data folder; raise ConfigurationError, BadInput.

    The columns follow by `load` once the tables have been made by the migrations.
    """
    if data.exists() and any(data.iterdir()):
        raise BadInput(f"{data} is not empty.", where="data", kept="it as it was", todo="Restore into a new folder.")
    manifest = check(source)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(source / "catalog.sqlite", data / "catalog.sqlite")
    shutil.copytree(source / "blobs", data / "blobs")
    (data / "blobs" / "tmp").mkdir(exist_ok=True)
    return manifest


async def load(source: Path, columns: Columns) -> dict[str, int]:
    """Insert the rows of a backup into the empty tables; return how many per table."""
    found: dict[str, int] = {}
    for path in sorted((source / "columns").glob("*.arrow")):
        name = path.stem
        if name == "schema_migrations" or name.endswith("_latest"):
            # The migrations wrote the one, and inserting into its source fills the other.
            continue
        with pa.OSFile(str(path), "rb") as file:
            table = pa.ipc.open_file(file).read_all()
        if table.num_rows:
            await columns.insert(name, table)
        found[name] = table.num_rows
    return found
