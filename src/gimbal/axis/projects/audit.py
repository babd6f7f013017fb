"""The audit log: append-only, each record chained to the one before by hash, so that no change stays unseen.

A chain of hashes shows every change by whoever does not rewrite all that follows. Against somebody who owns the
database and does, `AuditCheck.head` is the anchor: noted elsewhere, a later check compares with it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.projects.model import GENESIS, AuditCheck, AuditRecord, chain_hash
from gimbal.axis.projects.store import audit, audit_head
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import from_us
from gimbal.kernel.errors import BadInput, Unavailable
from gimbal.kernel.operations import AuditEntry
from gimbal.kernel.pages import Page, check_limit, cursor_number, encode_cursor

_BATCH = 1000
# Plain types: a check must be able to read what somebody put there by hand.
_RAW = [
    sa.type_coerce(c, {"at": sa.BigInteger(), "details": sa.Text()}.get(c.name, c.type)).label(c.name) for c in audit.c
]


class AuditLog:
    """Implements `kernel.operations.AuditTrail` on the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def append(self, tx: Any, entry: AuditEntry) -> None:
        """Append within the open transaction `tx`: the record is there exactly when what it tells of is.

        Raise Unavailable when the head of the chain has been taken away: nothing is done unrecorded.
        """
        connection: AsyncConnection = tx
        # The lock on the head makes appends one queue, so records are numbered in the order of their commits.
        head = (await connection.execute(sa.select(audit_head).where(audit_head.c.id == 1).with_for_update())).first()
        if head is None:
            raise Unavailable(
                "The head of the audit chain is gone, so nothing can be recorded.",
                kept="nothing was changed",
                todo="See `gimbal audit verify`; restore the catalog from a backup.",
            )
        # Through JSON and back, so that the hash is over exactly what will be read again.
        details = msgspec.json.decode(msgspec.json.encode(entry.details, enc_hook=str))
        values: dict[str, Any] = msgspec.structs.asdict(entry)
        values |= {"details": details, "sequence": head.sequence + 1, "previous": head.hash}
        record = AuditRecord(**values, hash="")
        record = msgspec.structs.replace(record, hash=chain_hash(record))
        await connection.execute(audit.insert().values(msgspec.structs.asdict(record)))
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
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AuditRecord]:
        """Return records, newest first; `project` None means all of the installation."""
        query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(check_limit(limit) + 1)
        if project is not None:
            query = query.where(audit.c.project == project)
        if action:
            query = query.where(audit.c.action.startswith(action.lower(), autoescape=True))
        if actor:
            query = query.where(sa.or_(audit.c.actor_name == actor, audit.c.actor_id == actor))
        if outcome:
            query = query.where(audit.c.outcome == outcome)
        if since:
            query = query.where(audit.c.at >= since)
        if until:
            query = query.where(audit.c.at < until)
        if cursor:
            query = query.where(audit.c.sequence < cursor_number(cursor, "sequence"))
        async with self._catalog.read() as tx:
            rows = [AuditRecord(**row) for row in (await tx.execute(query)).mappings()]
        more = len(rows) > limit
        items = rows[:limit]
        return Page(items=items, next=encode_cursor({"sequence": items[-1].sequence}) if more else None)

    async def verify(self, anchor: str | None = None) -> AuditCheck:
        """Walk the whole chain; name the first record that was changed, removed, inserted or moved.

        `anchor` is the `head` of an earlier check: that record must still be there as it was.
        """
        walk = _Walk(*_anchor(anchor))
        async with self._catalog.read() as tx:
            head = (await tx.execute(sa.select(audit_head).where(audit_head.c.id == 1))).first()
            rows = await tx.stream(sa.select(*_RAW).order_by(audit.c.sequence))
            async for batch in rows.mappings().partitions(_BATCH):
                # A million records take seconds of hashing; the server goes on meanwhile.
                await asyncio.to_thread(walk.read, batch)
                if walk.finding:
                    break
        walk.end((head.sequence, head.hash) if head else None)
        return AuditCheck(
            sound=not walk.finding,
            records=walk.count,
            finding=walk.finding,
            sequence=walk.wrong,
            head=f"{walk.count}:{walk.previous}" if not walk.finding else "",
        )


class _Walk:
    """One pass along the chain, up to the first finding."""

    def __init__(self, anchor_sequence: int, anchor_hash: str) -> None:
        self.anchor = (anchor_sequence, anchor_hash)
        self.count = 0
        """Records that were read and are sound."""
        self.previous = GENESIS
        self.finding = ""
        self.wrong: int | None = None

    def read(self, rows: Sequence[Any]) -> None:
        """Go on along some records in their order."""
        for row in rows:
            record = _readable(row)
            self.finding = self._finding(row["sequence"], record)
            if self.finding or record is None:
                return
            self.count, self.previous = record.sequence, record.hash

    def _finding(self, sequence: Any, record: AuditRecord | None) -> str:
        expected = self.count + 1
        self.wrong = expected
        if sequence != expected:
            beyond = isinstance(sequence, int) and sequence > expected
            return f"record {expected} is missing" if beyond else f"a record {sequence!r} was inserted"
        if record is None or chain_hash(record) != record.hash:
            return f"record {expected} was changed after it was written"
        if record.previous != self.previous:
            return f"record {expected} does not follow the one before it: one of the two was replaced"
        if expected == self.anchor[0] and record.hash != self.anchor[1]:
            return f"record {expected} is not the one that the anchor names: the chain was written anew"
        self.wrong = None
        return ""

    def end(self, head: tuple[int, str] | None) -> None:
        """Compare the end with the head that is noted apart, and with the anchor."""
        if self.finding:
            return
        last = max(head[0] if head else 0, self.anchor[0])
        if self.count < last:
            self.finding, self.wrong = f"{last - self.count} record(s) are missing at the end", self.count + 1
        elif head is None:
            self.finding = "the head of the chain, which is noted apart, was removed"
        elif self.count > head[0]:
            self.finding, self.wrong = f"{self.count - head[0]} record(s) were inserted at the end", head[0] + 1
        elif head[1] != self.previous:
            self.finding = "the head of the chain, which is noted apart, was changed"


def _readable(row: Any) -> AuditRecord | None:
    """Return the record of a raw row, or None when it cannot be one that we wrote."""
    try:
        values: dict[str, Any] = {str(name): value for name, value in row.items()}
        values |= {"at": from_us(row["at"]), "details": msgspec.json.decode(row["details"])}
        return msgspec.convert(values, AuditRecord)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return None


def _anchor(text: str | None) -> tuple[int, str]:
    if text is None:
        return 0, GENESIS
    sequence, colon, hashed = text.strip().partition(":")
    if not colon or not sequence.isascii() or not sequence.isdigit() or len(sequence) > 18 or len(hashed) != 64:
        raise BadInput(f"{text!r} is not an anchor.", where="anchor", todo="Give the `head` of an earlier check.")
    return int(sequence), hashed
