"""Erasure of a user: found by hash, marked, counted, taken out of the columns and the blobs, and proved.

Each step can be done again: whoever was cut off begins anew and finds what it had noted. Spans that name the user and come
while this runs, or later, are found again by `again`, as long as they are of before the erasure was asked for.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import sqlalchemy as sa

from gimbal.axis.projects.store import projects
from gimbal.axis.retention import anonymous
from gimbal.axis.retention.collecting import SHORT_GRACE_S, Collecting
from gimbal.axis.retention.files import TraceFiles
from gimbal.axis.retention.kept import KeptTexts
from gimbal.axis.retention.model import BlobProof, ErasureCounts, Proof, TableProof, Tombstone, plain
from gimbal.axis.retention.proving import Proving, all_tables, owned_conditions
from gimbal.axis.retention.rewriting import Rewriting
from gimbal.axis.retention.store import NO_POLICY, Pending, erasures, policies, stones_of
from gimbal.axis.retention.subject import MARKS, Subject, marks_of, table_named
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.ids import derived_id, new_id

Progress = Callable[[int, int, str], Awaitable[None]]
_HERE = "project = {project:String}"
_DISK_S = 900.0


class Erasing:
    """Erasures in one installation. `grace_s` and `disk_s` are how long it waits for blobs and for the disk."""

    def __init__(
        self,
        catalog: Catalog,
        columns: Columns,
        *,
        collecting: Collecting,
        rewriting: Rewriting,
        proving: Proving,
        files: TraceFiles,
        grace_s: float = SHORT_GRACE_S,
        disk_s: float = _DISK_S,
    ) -> None:
        self._catalog = catalog
        self._columns = columns
        self._collecting = collecting
        self._rewriting = rewriting
        self._proving = proving
        self._files = files
        self._kept = KeptTexts(catalog, columns)
        self._grace_s = grace_s
        self._disk_s = disk_s

    async def counts(self, stone: Tombstone) -> ErasureCounts:
        """Return what belongs to a user now, without changing anything."""
        subject = Subject(stone.project, [stone])
        spans = list(await self._rewriting.columns_of("spans"))
        traces = subject.traces(table_named, spans)
        named = subject.named_spans(spans)
        sessions = subject.sessions(table_named, spans)
        row = (
            await self._columns.query(
                f"SELECT (SELECT count() FROM ({traces})) AS traces, "
                f"(SELECT uniqExact(trace_id) FROM spans WHERE {_HERE} AND user_id != '' AND trace_id IN ({traces}) "
                f"AND NOT {named}) AS other_users, "
                f"(SELECT uniqExact(session_id) FROM ({sessions})) AS sessions, "
                f"(SELECT uniqExact(trace_id) FROM spans WHERE {_HERE} AND session_id IN ({sessions}) "
                f"AND trace_id NOT IN ({traces})) AS session_traces",
                subject.values,
            )
        )[0]
        digests = await self._digests(f"{_HERE} AND trace_id IN ({traces})", subject.values)
        rows: dict[str, int] = {}
        there = await self._rewriting.tables()
        for table in all_tables():
            if table.name in there:
                names = list(await self._rewriting.columns_of(table.name))
                condition = subject.owned(table, names, unmarked=(traces, sessions))
                if condition:
                    rows[table.name] = await self._rewriting.count(table.name, condition, subject.values)
        rows["artifact_files"] = await self._files.count(stone.project, traces, subject.values)
        rows |= await self._kept.count(stone.project, traces, subject.values)
        return ErasureCounts(**row, rows=rows, blobs=len(digests))

    async def carry_out(self, ctx: Context, erasure_id: str, progress: Progress, backups: Sequence[str] = ()) -> Proof:
        """Erase; return the certificate, the same one however often it is called. Raise NotFound.

        It names the backups in which the erasure is noted.
        """
        query = sa.select(erasures).where(erasures.c.id == erasure_id, erasures.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no erasure {erasure_id}.", where="id", todo="`gimbal retention erasures`.")
        if row["status"] == "done":
            return await self._proving.get(ctx, row["proof_id"])
        await self._note(erasure_id, status="running")
        stone = next(s for s in await stones_of(self._catalog, str(ctx.project)) if s.erasure == erasure_id)
        tables, blobs = await self._erase(stone, progress)
        proof_id = derived_id("erasure", erasure_id)
        proof = Proof(
            id=proof_id,
            project=stone.project,
            kind="erasure",
            subject=erasure_id,
            at=ctx.now(),
            user_hash=stone.user_hash,
            reason=row["reason"],
            tables=tables,
            blobs=blobs,
            notes=[
                *(
                    f"The backup {one} holds the data until it is scrubbed; restored, it is erased again."
                    for one in backups
                ),
                *_NOTES,
            ],
        )
        done = sa.update(erasures).where(erasures.c.id == erasure_id)
        return await self._proving.write(
            ctx, proof, done.values(status="done", done_at=proof.at, proof_id=proof_id, pending=None)
        )

    async def again(self, ctx: Context, *, since_us: int = 0) -> list[Proof]:
        """Erase what came late, or back from a backup, of users whose data were erased; return the proofs.

        With `since_us` only what was stored at or after that moment is looked at.
        """
        found: list[Proof] = []
        for stone in await stones_of(self._catalog, str(ctx.project)):
            if not await self._any(stone, since_us):
                continue
            tables, blobs = await self._erase(stone, _silent)
            proof = Proof(
                id=new_id(), project=stone.project, kind="again", subject=stone.erasure, at=ctx.now(),
                user_hash=stone.user_hash, tables=tables, blobs=blobs,
            )  # fmt: skip
            cleared = sa.update(erasures).where(erasures.c.id == stone.erasure).values(pending=None)
            found.append(await self._proving.write(ctx, proof, cleared))
        return found

    async def apply(self, stones: list[Tombstone]) -> dict[str, int]:
        """Take the rows of erased users out of columns that were just restored; return how many by table."""
        taken: dict[str, int] = {}
        for stone in stones:
            await self._adopt(stone)
            for one in (await self._erase(stone, _silent, noted=False))[0]:
                taken[one.table] = taken.get(one.table, 0) + one.rows_before
        return {table: rows for table, rows in taken.items() if rows}

    async def _adopt(self, stone: Tombstone) -> None:
        """Take in an erasure of which this installation may not know yet, with what it marked."""
        values: dict[str, Any] = {
            "id": stone.erasure, "project": stone.project, "status": "done", "user_hash": stone.user_hash,
            "quoted_hash": stone.quoted_hash, "reason": "noted in the backup that was restored", "sessions": stone.sessions,
            "keep_costs": stone.keep_costs, "counts": None, "pending": None, "requested_at": from_us(stone.at_us),
            "requested_by": "restore", "done_at": None, "job_id": "", "proof_id": "",
        }  # fmt: skip
        policy = {"project": stone.project, "salt": stone.salt, **NO_POLICY}
        async with self._catalog.write() as tx:
            known = await tx.execute(sa.select(projects.c.slug).where(projects.c.slug == stone.project))
            if known.first() is None:
                return
            await insert_missing(tx, policies, policy)
            await insert_missing(tx, erasures, values)
        if stone.marks:
            table = pa.table(
                {
                    "project": [stone.project] * len(stone.marks),
                    "mark": stone.marks,
                    "erasure": [stone.erasure] * len(stone.marks),
                    "at_us": [stone.at_us] * len(stone.marks),
                }
            )
            await self._columns.insert(MARKS, table)

    async def noted(self, stones: Sequence[Tombstone]) -> list[dict[str, Any]]:
        """Return erasures as backups note them: with the marks of their traces."""
        query = f"SELECT DISTINCT mark FROM {MARKS} WHERE {_HERE} AND erasure = {{erasure:String}} ORDER BY mark"
        found: list[dict[str, Any]] = []
        for stone in stones:
            rows = await self._columns.query(query, {"project": stone.project, "erasure": stone.erasure})
            found.append(plain(msgspec.structs.replace(stone, marks=[row["mark"] for row in rows])))
        return found

    async def _any(self, stone: Tombstone, since_us: int) -> bool:
        conditions = await owned_conditions(self._rewriting, stone.project, [stone])
        for table, (condition, values) in conditions.items():
            stamped = since_us and "written_us" in await self._rewriting.columns_of(table)
            recent = f"{condition} AND written_us >= {since_us}" if stamped else condition
            if await self._rewriting.count(table, recent, values):
                return True
        return bool(await self._files.of(stone) or await self._kept.of(stone))

    async def _erase(
        self, stone: Tombstone, progress: Progress, *, noted: bool = True
    ) -> tuple[list[TableProof], BlobProof]:
        subject = Subject(stone.project, [stone])
        columns = await self._rewriting.columns_of("spans")
        values = {**subject.values, "erasure": stone.erasure, "at": stone.at_us}
        await progress(0, 5, "marking")
        marks = marks_of(subject, table_named, list(columns))
        await self._columns.command_aside(f"INSERT INTO {MARKS} (project, mark, erasure, at_us) {marks}", values)
        conditions = await owned_conditions(self._rewriting, stone.project, [stone])
        pending = await self._pending(stone, conditions, noted=noted)
        if stone.keep_costs:
            await progress(1, 5, "keeping costs")
            await self._columns.command_aside(
                anonymous.statement(columns), {**subject.values, "secret": pending.secret}
            )
        await progress(2, 5, "deleting rows")
        tables = [
            await self._rewriting.rewrite(table, "DELETE", *conditions[table], pending.tables[table])
            for table in conditions
        ]
        await self._files.remove(stone.project, await self._files.of(stone))
        await self._kept.remove(stone)
        await progress(3, 5, "deleting payloads")
        blobs = await self._collecting.collect_these(pending.digests, self._grace_s)
        await progress(4, 5, "waiting for the disk")
        return [await self._rewriting.wait_gone(one, self._disk_s) for one in tables], blobs

    async def _pending(self, stone: Tombstone, conditions: dict[str, Any], *, noted: bool) -> Pending:
        """Return what this erasure needs to go on, of its first attempt where there was one."""
        where = erasures.c.id == stone.erasure
        if noted:
            async with self._catalog.read() as tx:
                known = (await tx.execute(sa.select(erasures.c.pending).where(where))).scalar()
            if known is not None:
                return msgspec.convert(known, Pending)
        digests = {digest for some in (await self._files.of(stone)).values() for digest in some}
        for table in ("spans", "span_events"):
            if table in conditions:
                condition, values = conditions[table]
                digests |= await self._collecting.digests(table, ("attributes", "resource"), condition, values)
        pending = Pending(
            secret=secrets.token_hex(16),
            digests=sorted(digests),
            tables={table: await self._rewriting.before(table, *conditions[table]) for table in conditions},
        )
        if noted:
            await self._note(stone.erasure, pending=pending)
        return pending

    async def _digests(self, condition: str, values: dict[str, Any]) -> set[str]:
        return await self._collecting.digests("spans", ("attributes", "resource"), condition, values)

    async def _note(self, erasure_id: str, **changes: Any) -> None:
        async with self._catalog.write() as tx:
            await tx.execute(sa.update(erasures).where(erasures.c.id == erasure_id).values(changes))


_NOTES = [
    "Backups that lie elsewhere hold the data until they are scrubbed (`gimbal backups scrub`).",
    "Copies that left the installation, such as exports, are not reached.",
]


async def _silent(done: int, total: int, message: str) -> None:
    """Tell nobody."""
