"""Which blobs nothing refers to any more, and taking them away.

A reference is the digest written anywhere in the catalog, or in the columns where a room writes what it put into the blobs.
Blobs are shared by content over all projects and nouns, so all of them are looked through. What was put a short time ago
may belong to something that is not stored yet: it stays for the grace. Audit records and proofs keep nothing alive.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from gimbal.axis.retention.model import BlobProof
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, Json, metadata
from gimbal.engines.storage.columns import Columns

GRACE_S = 86_400
# What a person asked to have erased waits for no longer than an upload of the same bytes might take to be referred to.
SHORT_GRACE_S = 30
LOST_S = 86_400
DIGEST = re.compile(r"b3:[0-9a-f]{64}")
SILENT = frozenset({"audit", "audit_head", "erasures", "retention_proofs", "retention_policies"})
# Of spans only the mark counts that ingest set, which is among these. Runs refer to blobs by their files alone: what they
# logged may be billions of rows, and a parameter that looks like a digest keeps nothing alive.
MARKED: dict[str, tuple[str, ...]] = {
    "spans": ("attributes", "resource"),
    "span_events": ("attributes", "resource"),
    "metric_points": (),
    "run_metrics": (),
    "run_points": (),
    "run_metrics_latest": (),
}
NOTED: dict[str, tuple[str, ...]] = {
    "artifact_files": ("digest",),
    "input_datasets": ("profile",),
    "experiments": (),
    "experiment_tags": (),
    "runs": (),
    "run_params": (),
    "run_tags": (),
    "run_latest": (),
    "run_datasets": (),
    "run_models": (),
    "metric_names": (),
    "logged_model_params": (),
    "logged_model_tags": (),
    "logged_model_metrics": (),
    "uploads": (),
}
"""Tables of the catalog of which only some columns, or none, refer to blobs."""
TEXTS = ("String", "LowCardinality(String)", "Nullable(String)")
_BATCH = 1000
_PAUSE_S = 5.0


class Collecting:
    """Looks for references and deletes what has none."""

    def __init__(self, catalog: Catalog, columns: Columns, blobs: Blobs) -> None:
        self._catalog = catalog
        self._columns = columns
        self._blobs = blobs

    async def collect(self, before_us: int) -> BlobProof:
        """Delete every blob without a reference that was last put before a moment, and what lost uploads left."""
        await self._blobs.sweep(LOST_S)
        old = {
            one.digest: one.size async for batch in self._blobs.listing() for one in batch if one.touched_us < before_us
        }
        return await self._delete(old, before_us)

    async def collect_these(self, digests: Collection[str], grace_s: float) -> BlobProof:
        """Delete those of some blobs that nothing refers to; wait for those that may belong to an upload in flight."""
        wanted = set(digests)
        if not wanted:
            return BlobProof()
        sizes = {one.digest: one.size async for some in self._blobs.listing() for one in some if one.digest in wanted}
        gone: set[str] = set()
        until = time.monotonic() + grace_s
        while True:
            # First the look at who refers to them: what is put afterwards is newer than what may go.
            before_us = time.time_ns() // 1000 - int(grace_s * 1_000_000)
            free = set(sizes) - gone - await self.references()
            for digest in sorted(free):
                if await self._blobs.delete_unwanted(digest, before_us):
                    gone.add(digest)
            if not free - gone or time.monotonic() > until:
                return _proof(sizes, gone)
            await asyncio.sleep(min(_PAUSE_S, grace_s))

    async def _delete(self, sizes: dict[str, int], before_us: int) -> BlobProof:
        held = await self.references() if sizes else set[str]()
        gone = {one for one in sorted(set(sizes) - held) if await self._blobs.delete_unwanted(one, before_us)}
        return _proof(sizes, gone)

    async def references(self) -> set[str]:
        """Return every digest that something in the installation refers to."""
        return await self._in_catalog() | await self._in_columns()

    async def _in_catalog(self) -> set[str]:
        found: set[str] = set()
        async with self._catalog.read() as tx:
            for table in metadata.sorted_tables:
                noted = NOTED.get(table.name, table.c.keys())
                texts = [c for c in table.c if isinstance(c.type, sa.Text | Json) and c.name in noted]
                if table.name in SILENT or not texts:
                    continue
                raw = [sa.type_coerce(column, sa.Text).label(column.name) for column in texts]
                some = sa.or_(*(sa.type_coerce(column, sa.Text).contains("b3:") for column in texts))
                rows = await tx.stream(sa.select(*raw).where(some))
                async for batch in rows.partitions(_BATCH):
                    found.update(digest for row in batch for text in row if text for digest in DIGEST.findall(text))
        return found

    async def _in_columns(self) -> set[str]:
        rows = await self._columns.query(
            "SELECT table, groupArray(name) AS names FROM system.columns WHERE database = currentDatabase() "
            f"AND type IN {TEXTS} AND table IN (SELECT name FROM "
            "system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree') GROUP BY table"
        )
        found: set[str] = set()
        for row in rows:
            for name in MARKED.get(str(row["table"]), list[str](row["names"])):
                found |= await self.digests(f"`{row['table']}`", (name,), f"position(`{name}`, 'b3:') > 0", {})
        return found

    async def digests(self, source: str, names: Sequence[str], condition: str, values: dict[str, object]) -> set[str]:
        """Return the digests in some columns of the rows that a condition fits."""
        found: set[str] = set()
        for name in names:
            rows = await self._columns.query(
                f"SELECT DISTINCT arrayJoin(extractAll(assumeNotNull(`{name}`), 'b3:[0-9a-f]{{64}}')) AS digest "
                f"FROM {source} WHERE {condition}",
                values,
            )
            found |= {row["digest"] for row in rows}
        return found


def _proof(sizes: Mapping[str, int], gone: Collection[str]) -> BlobProof:
    return BlobProof(
        deleted=len(gone),
        bytes=sum(sizes[digest] for digest in gone),
        kept=len(sizes) - len(gone),
        digests_hash=digests_hash(sorted(gone)),
    )


def digests_hash(digests: Sequence[str]) -> str:
    """Return the hash of a list of digests, whatever their order; empty for none."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest() if digests else ""
