"""Proofs of deletion: written once, hashed, chained into the audit log, and looked at again when somebody doubts them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.axis.retention.classes import CLASSES, Table
from gimbal.axis.retention.model import Proof, ProofCheck, Tombstone
from gimbal.axis.retention.rewriting import Rewriting
from gimbal.axis.retention.store import proofs, proofs_of, stones_of
from gimbal.axis.retention.subject import Subject
from gimbal.axis.retention.terms import expired
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.operations import AuditEntry, AuditTrail
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor

_ordered = msgspec.json.Encoder(order="deterministic")


def hash_of(proof: Proof) -> str:
    """Return the hash of all that a proof says besides its hash."""
    return hashlib.sha256(_ordered.encode(msgspec.structs.replace(proof, hash=""))).hexdigest()


class Proving:
    """Proofs in the catalog."""

    def __init__(self, catalog: Catalog, rewriting: Rewriting) -> None:
        self._catalog = catalog
        self._rewriting = rewriting

    async def write(self, ctx: Context, proof: Proof, also: sa.Update | None = None) -> Proof:
        """Store a proof with its hash and its audit record, and `also`, in one transaction; once by its id."""
        sealed = msgspec.structs.replace(proof, hash=hash_of(proof))
        row: dict[str, Any] = {
            "id": sealed.id, "project": sealed.project, "kind": sealed.kind, "subject": sealed.subject,
            "at": sealed.at, "document": sealed,
        }  # fmt: skip
        async with self._catalog.write() as tx:
            there = await tx.execute(sa.select(proofs.c.document).where(proofs.c.id == sealed.id))
            if (known := there.scalar()) is not None:
                return msgspec.convert(known, Proof)
            await tx.execute(proofs.insert().values(row))
            if also is not None:
                await tx.execute(also)
            if ctx.services.has(AuditTrail):
                await ctx.get(AuditTrail).append(tx, _entry(ctx, sealed))
        return sealed

    async def page(self, ctx: Context, *, cursor: str | None = None, limit: int = 50) -> Page[Proof]:
        """Return the proofs of the project, newest first."""
        query = (
            sa.select(proofs).where(proofs.c.project == ctx.project).order_by(proofs.c.at.desc(), proofs.c.id.desc())
        )
        if cursor:
            place = from_us(cursor_number(cursor, "at")), cursor_text(cursor, "id")
            query = query.where(
                sa.or_(proofs.c.at < place[0], sa.and_(proofs.c.at == place[0], proofs.c.id < place[1]))
            )
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query.limit(check_limit(limit) + 1))).mappings().all()
        items = proofs_of(rows[:limit])
        return Page(items=items, next=_after(items[-1]) if len(rows) > limit else None)

    async def get(self, ctx: Context, proof_id: str) -> Proof:
        """Return a proof of the project; raise NotFound."""
        query = sa.select(proofs).where(proofs.c.id == proof_id, proofs.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no proof {proof_id!r}.", where="id", todo="`gimbal retention proofs` lists them.")
        return proofs_of([row])[0]

    async def verify(self, ctx: Context, proof_id: str) -> ProofCheck:
        """Look again: nothing that a proof says is gone may be found by a query or in old parts on the disk."""
        proof = await self.get(ctx, proof_id)
        findings: list[str] = []
        if hash_of(proof) != proof.hash:
            findings.append("the proof was changed after it was written")
        rows = await self._rows(proof)
        findings += [f"{table} has {count} rows that should be gone" for table, count in rows.items() if count]
        left = [f"{one.table}: {name}" for one in proof.tables for name in await self._rewriting.parts_left(one)]
        if left:
            findings.append(f"{len(left)} old parts are still on the disk")
        return ProofCheck(id=proof.id, holds=not findings, at=ctx.now(), findings=findings, rows=rows, parts_left=left)

    async def _rows(self, proof: Proof) -> dict[str, int]:
        """Return the rows that the condition of a proof fits now, by table."""
        named = {one.table for one in proof.tables}
        conditions: dict[str, tuple[str, Mapping[str, Any]]] = {}
        if proof.kind == "expiry" and proof.upto is not None:
            one = CLASSES.get(proof.subject)
            for table in one.tables:
                conditions[table.name] = expired(one, table, proof.project, to_us(proof.upto))
        elif proof.user_hash:
            stones = [s for s in await stones_of(self._catalog, proof.project) if s.user_hash == proof.user_hash]
            conditions = await owned_conditions(self._rewriting, proof.project, stones) if stones else {}
        return {name: await self._rewriting.count(name, *conditions[name]) for name in sorted(named & set(conditions))}


async def owned_conditions(
    rewriting: Rewriting, project: str, stones: list[Tombstone]
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return by table the test whether a row goes with the erased users, and its values."""
    subject, there = Subject(project, stones), await rewriting.tables()
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for table in all_tables():
        if table.name in there:
            condition = subject.owned(table, list(await rewriting.columns_of(table.name)))
            if condition:
                found[table.name] = (condition, subject.values)
    return found


def all_tables() -> list[Table]:
    """Return the tables of all classes, each once: spans last, since others are found by them."""
    found = {table.name: table for name in CLASSES for table in CLASSES.get(name).tables}
    return sorted(found.values(), key=lambda table: (table.name == "spans", table.name))


def _after(proof: Proof) -> str:
    return encode_cursor({"at": to_us(proof.at), "id": proof.id})


def _entry(ctx: Context, proof: Proof) -> AuditEntry:
    return AuditEntry(
        at=proof.at,
        project=proof.project,
        actor_kind=ctx.principal.kind,
        actor_id=ctx.principal.id,
        actor_name=ctx.principal.name,
        action="retention.proof",
        outcome="done",
        origin=ctx.origin,
        client=ctx.client,
        details={"proof": proof.id, "kind": proof.kind, "subject": proof.subject, "hash": proof.hash},
    )
