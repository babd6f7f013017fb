"""Files that were uploaded to traces, such as MLflow's attachments: they go with what the traces said."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gimbal.axis.retention.model import Tombstone
from gimbal.axis.retention.subject import MARKS, mark_of
from gimbal.axis.runs.store import artifact_files, uploads
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns

_BATCH = 1000
_AT_ONCE = 2000
"""Traces that one statement names: a project may have files of a million."""


class TraceFiles:
    """Finds and removes the files of traces; their bytes go when nothing else refers to them."""

    def __init__(self, catalog: Catalog, columns: Columns) -> None:
        self._catalog = catalog
        self._columns = columns

    async def expire(self, project: str, upto: datetime) -> int:
        """Remove files that were uploaded before a moment; return how many."""
        async with self._catalog.write() as tx:
            await tx.execute(uploads.delete().where(*_mine(uploads, project), uploads.c.created_at < upto))
            gone = artifact_files.delete().where(*_mine(artifact_files, project), artifact_files.c.at < upto)
            return (await tx.execute(gone)).rowcount

    async def of(self, stone: Tombstone) -> dict[str, set[str]]:
        """Return by trace, of those that were erased with a user, the digests of their files."""
        found = await self._all(stone.project)
        return {trace: found[trace] for trace in await marked_of(self._columns, stone, found)}

    async def count(self, project: str, traces: str, values: dict[str, Any]) -> int:
        """Return how many files the traces have that a query names."""
        async with self._catalog.read() as tx:
            query = sa.select(artifact_files.c.owner_id).where(*_mine(artifact_files, project))
            owners = [owner.partition("/")[2] for owner in (await tx.execute(query)).scalars()]
        named = await named_in(self._columns, {plain_trace(one) for one in owners}, traces, values)
        return sum(plain_trace(one) in named for one in owners)

    async def remove(self, project: str, traces: Collection[str]) -> None:
        """Remove the files of traces."""
        async with self._catalog.write() as tx:
            for trace in traces:
                for table in (artifact_files, uploads):
                    own = (table.c.owner == "trace", table.c.owner_id == f"{project}/{trace}")
                    await tx.execute(table.delete().where(*own))

    async def _all(self, project: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        query = sa.select(artifact_files.c.owner_id, artifact_files.c.digest)
        begun = sa.select(uploads.c.owner_id).where(*_mine(uploads, project))
        async with self._catalog.read() as tx:
            rows = await tx.stream(query.where(*_mine(artifact_files, project)))
            async for batch in rows.partitions(_BATCH):
                for owner, digest in batch:
                    found.setdefault(owner.partition("/")[2], set()).add(digest)
            for owner in (await tx.execute(begun)).scalars():
                found.setdefault(owner.partition("/")[2], set())
        return found


async def named_in(columns: Columns, ids: Collection[str], traces: str, values: dict[str, Any]) -> set[str]:
    """Return those of some ids of traces that a query names."""
    asked = f"SELECT id FROM (SELECT arrayJoin({{ids:Array(String)}}) AS id) WHERE id IN ({traces})"
    ordered, named = sorted(ids), set[str]()
    for start in range(0, len(ordered), _AT_ONCE):
        rows = await columns.query(asked, {**values, "ids": ordered[start : start + _AT_ONCE]})
        named.update(row["id"] for row in rows)
    return named


async def marked_of(columns: Columns, stone: Tombstone, ids: Collection[str]) -> set[str]:
    """Return those of some ids of traces that were erased with a user."""
    marks = {mark_of(stone.salt, plain_trace(one)): one for one in sorted(ids)}
    query = (
        f"SELECT DISTINCT mark FROM {MARKS} WHERE project = {{project:String}} AND erasure = {{erasure:String}} "
        "AND mark IN {marks:Array(String)}"
    )
    values = {"project": stone.project, "erasure": stone.erasure}
    ordered, known = sorted(marks), set[str]()
    for start in range(0, len(ordered), _AT_ONCE):
        rows = await columns.query(query, {**values, "marks": ordered[start : start + _AT_ONCE]})
        known.update(row["mark"] for row in rows)
    # Of one trace there may be two ids here: as spans have it, and as MLflow writes it.
    return {one for one in ids if mark_of(stone.salt, plain_trace(one)) in known}


def plain_trace(trace: str) -> str:
    """Return the id of a trace as spans have it: MLflow writes `tr-` before."""
    return trace.removeprefix("tr-")


def _mine(table: sa.Table, project: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    start = f"{project}/"
    return table.c.owner == "trace", sa.func.substr(table.c.owner_id, 1, len(start)) == start
