"""The audit log: append-only, each record chained to the one before by hash, so that no change stays unseen."""

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.projects.model import GENESIS, AuditCheck, AuditRecord, chain_hash
from gimbal.axis.projects.store import audit, audit_head
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.operations import AuditEntry
from gimbal.kernel.pages import Page, check_limit, decode_cursor, encode_cursor


class AuditLog:
    """Implements `kernel.operations.AuditTrail` on the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def append(self, tx: Any, entry: AuditEntry) -> None:
        """Append within the open transaction `tx`: the record is there exactly when what it tells of is."""
        connection: AsyncConnection = tx
        head = (await connection.execute(sa.select(audit_head).where(audit_head.c.id == 1).with_for_update())).first()
        sequence, previous = (head.sequence, head.hash) if head else (0, GENESIS)
        # Through JSON and back, so that the hash is over exactly what will be read again.
        details = msgspec.json.decode(msgspec.json.encode(entry.details, enc_hook=str))
        values: dict[str, Any] = msgspec.structs.asdict(entry)
        values |= {"details": details, "sequence": sequence + 1, "previous": previous}
        record = AuditRecord(**values, hash="")
        record = msgspec.structs.replace(record, hash=chain_hash(record))
        await connection.execute(audit.insert().values(msgspec.structs.asdict(record)))
        if head is None:
            await connection.execute(audit_head.insert().values(id=1, sequence=record.sequence, hash=record.hash))
        else:
            moved = audit_head.update().where(audit_head.c.id == 1)
            await connection.execute(moved.values(sequence=record.sequence, hash=record.hash))

    async def record(self, entry: AuditEntry) -> None:
        """Append in a transaction of its own."""
        async with self._catalog.write() as tx:
            await self.append(tx, entry)

    async def page(
        self,
        project: str | None,
        *,
        action: str | None = None,
        actor: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AuditRecord]:
        """Return records, newest first; `project` None means all of the installation."""
        query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(check_limit(limit) + 1)
        if project is not None:
            query = query.where(audit.c.project == project)
        if action:
            query = query.where(audit.c.action.startswith(action, autoescape=True))
        if actor:
            query = query.where(audit.c.actor_name == actor)
        if cursor:
            query = query.where(audit.c.sequence < int(decode_cursor(cursor).get("sequence", 0)))
        async with self._catalog.read() as tx:
            rows = [AuditRecord(**row) for row in (await tx.execute(query)).mappings()]
        more = len(rows) > limit
        items = rows[:limit]
        return Page(items=items, next=encode_cursor({"sequence": items[-1].sequence}) if more else None)

    async def verify(self) -> AuditCheck:
        """Walk the whole chain; name the first record that was changed, removed, inserted or moved."""
        expected, previous, count = 1, GENESIS, 0
        async with self._catalog.read() as tx:
            head = (await tx.execute(sa.select(audit_head).where(audit_head.c.id == 1))).first()
            rows = await tx.stream(sa.select(audit).order_by(audit.c.sequence))
            async for row in rows.mappings():
                record = AuditRecord(**row)
                finding = _finding(record, expected, previous)
                if finding:
                    return AuditCheck(sound=False, records=count, finding=finding, sequence=record.sequence)
                expected, previous, count = record.sequence + 1, record.hash, count + 1
        if head is not None and (head.sequence, head.hash) != (expected - 1, previous):
            finding = f"{head.sequence - expected + 1} record(s) are missing at the end"
            return AuditCheck(sound=False, records=count, finding=finding, sequence=expected)
        if head is None and count:
            return AuditCheck(sound=False, records=count, finding="the end of the chain is not noted", sequence=count)
        return AuditCheck(sound=True, records=count)


def _finding(record: AuditRecord, expected: int, previous: str) -> str:
    if record.sequence != expected:
        return f"record {expected} is missing"
    if chain_hash(record) != record.hash:
        return "the record was changed after it was written"
    if record.previous != previous:
        return "the record does not follow the one before it: one was replaced or reordered"
    return ""
