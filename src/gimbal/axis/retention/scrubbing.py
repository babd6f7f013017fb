"""Erasures in backups: noted, so that a restore takes them out again, and scrubbed, so that they are not there any more.

A scrubbed backup is written anew beside the old one, sealed, and takes its place: rows of erased users are left out of the
files of the columns, and payloads that nothing else in the backup refers to are left out of its blobs.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.projects.store import audit
from gimbal.axis.retention.collecting import DIGEST, MARKED, SILENT, TEXTS, Collecting
from gimbal.axis.retention.erasing import Erasing
from gimbal.axis.retention.files import plain_trace
from gimbal.axis.retention.model import BackupProof, Tombstone
from gimbal.axis.retention.proving import all_tables
from gimbal.axis.retention.store import stones_of
from gimbal.axis.retention.subject import Subject, mark_of, table_named
from gimbal.engines.storage import backup
from gimbal.engines.storage.blobs import key_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.errors import GimbalError

_SAID = ("attributes", "resource")


class Scrubbing:
    """Erasures in backups of the embedded set."""

    def __init__(self, catalog: Catalog, columns: Columns, collecting: Collecting, erasing: Erasing) -> None:
        self._catalog = catalog
        self._columns = columns
        self._collecting = collecting
        self._erasing = erasing

    async def known(self) -> list[Path]:
        """Return the backups that were taken of this installation and still are where they were written."""
        query = sa.select(audit.c.details).where(audit.c.action == "backups.take", audit.c.outcome == "done")
        async with self._catalog.read() as tx:
            targets = {str(details.get("target", "")) for details in (await tx.execute(query)).scalars()}
        return [path for target in sorted(targets - {""}) if ((path := Path(target)) / backup.MANIFEST).is_file()]

    async def note(self, project: str) -> list[str]:
        """Note the erasures of a project in all known backups that can be written; return those."""
        noted = await self._erasing.noted(await stones_of(self._catalog, project))
        found: list[str] = []
        for path in await self.known():
            with contextlib.suppress(GimbalError):
                await asyncio.to_thread(backup.note_erasures, path, noted)
                found.append(str(path))
        return found

    async def scrub(self, path: Path) -> BackupProof:
        """Write a backup anew without what was erased; raise ConfigurationError when it is damaged or none."""
        stones = await stones_of(self._catalog)
        rows: dict[str, int] = {}
        blobs = 0

        async def change(partial: Path) -> None:
            nonlocal blobs
            digests: set[str] = set()
            for _, group in groupby(sorted(stones, key=lambda s: s.project), key=lambda s: s.project):
                digests |= await self._without(partial / "columns", list(group), rows)
            noted = [msgspec.convert(one, Tombstone) for one in await self._erasing.noted(stones)]
            files = await asyncio.to_thread(_without_files, partial / backup.CATALOG, noted)
            if files:
                rows["artifact_files"] = len(files)
            digests.update(files)
            blobs = await self._drop(partial, digests)

        await backup.rewritten(path, change, await self._erasing.noted(stones))
        manifest = await asyncio.to_thread((path / backup.MANIFEST).read_bytes)
        return BackupProof(path=str(path), rows=rows, blobs=blobs, manifest_hash=hashlib.sha256(manifest).hexdigest())

    async def _without(self, folder: Path, stones: list[Tombstone], rows: dict[str, int]) -> set[str]:
        """Leave the rows of users of one project out of the files; return the blobs that these referred to."""
        subject, digests = Subject(stones[0].project, stones), set[str]()
        spans = await self._columns_of(folder, "spans")

        def source(name: str) -> str:
            return _file(folder, name) if _there(folder, name) else f"(SELECT * FROM {table_named(name)} WHERE 0)"

        if not spans:
            return digests
        unmarked = (subject.traces(source, spans), subject.sessions(source, spans))
        changed: list[str] = []
        for table in all_tables():
            columns = await self._columns_of(folder, table.name)
            condition = subject.owned(table, columns, unmarked) if columns else ""
            if not condition:
                continue
            file = _file(folder, table.name)
            counted = await self._columns.query(f"SELECT count() AS n FROM {file} WHERE {condition}", subject.values)
            if not counted[0]["n"]:
                continue
            rows[table.name] = rows.get(table.name, 0) + counted[0]["n"]
            named = [name for name in _SAID if name in columns]
            digests |= await self._collecting.digests(file, named, condition, subject.values)
            await self._write_new(folder, table.name, condition, subject.values)
            changed.append(table.name)
        # All at once: tables are found by each other as they were.
        for name in changed:
            await asyncio.to_thread((folder / f"{name}.native.new").replace, folder / f"{name}.native")
        return digests

    async def _write_new(self, folder: Path, table: str, condition: str, values: Mapping[str, Any]) -> None:
        new = folder / f"{table}.native.new"
        await self._columns.query(
            f"INSERT INTO FUNCTION file('{_quoted(new)}', 'Native') "
            f"SELECT * FROM {_file(folder, table)} WHERE NOT ({condition})",
            values,
        )
        # The engine writes no file for no rows.
        await asyncio.to_thread(new.touch)

    async def _drop(self, partial: Path, digests: set[str]) -> int:
        """Delete those blobs of a backup to which nothing else in it refers; return how many."""
        held = await asyncio.to_thread(_in_catalog, partial / backup.CATALOG) if digests else set[str]()
        for path in sorted((partial / "columns").glob("*.native")):
            given = await self._types(partial / "columns", path.stem) if digests else {}
            names = MARKED.get(path.stem) or [name for name, kind in given.items() if kind in TEXTS]
            held |= await self._collecting.digests(_file(path.parent, path.stem), names, "1", {}) if given else set()
        gone = 0
        for digest in sorted(digests - held):
            path = partial / "blobs" / key_of(digest)
            if path.exists():
                path.unlink()
                gone += 1
        return gone

    async def _columns_of(self, folder: Path, table: str) -> list[str]:
        return list(await self._types(folder, table))

    async def _types(self, folder: Path, table: str) -> dict[str, str]:
        if not _there(folder, table):
            return {}
        rows = await self._columns.query(f"DESCRIBE {_file(folder, table)}")
        return {row["name"]: row["type"] for row in rows}


def _there(folder: Path, table: str) -> bool:
    path = folder / f"{table}.native"
    return path.exists() and path.stat().st_size > 0


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("\\", "\\\\").replace("'", "\\'")


def _file(folder: Path, table: str) -> str:
    return f"file('{_quoted(folder / f'{table}.native')}', 'Native')"


def _without_files(path: Path, stones: Sequence[Tombstone]) -> list[str]:
    """Remove the files of erased traces from the catalog of a backup; return their digests, one for each file."""
    found: list[str] = []
    with contextlib.closing(sqlite3.connect(path)) as change, change:
        there = change.execute("SELECT 1 FROM sqlite_master WHERE name = 'artifact_files'").fetchone()
        files = change.execute("SELECT owner_id, digest FROM artifact_files WHERE owner = 'trace'") if there else ()
        for owner, digest in list(files):
            project, _, trace = owner.partition("/")
            if any(s.project == project and mark_of(s.salt, plain_trace(trace)) in s.marks for s in stones):
                change.execute("DELETE FROM artifact_files WHERE owner = 'trace' AND owner_id = ?", (owner,))
                found.append(digest)
    return found


def _in_catalog(path: Path) -> set[str]:
    """Return the digests anywhere in the catalog of a backup, besides audit records and proofs."""
    found: set[str] = set()
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as read:
        tables = [row[0] for row in read.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table in SILENT:
                continue
            for row in read.execute(f'SELECT * FROM "{table}"'):
                found.update(digest for value in row if isinstance(value, str) for digest in DIGEST.findall(value))
    return found
