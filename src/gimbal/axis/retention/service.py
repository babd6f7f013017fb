"""Retention of a project: its terms, its state by class, and the requests to erase, run and verify."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.projects.service import DEFAULT_PROJECT
from gimbal.axis.retention.classes import CLASSES, DELETED_RUNS, DataClass
from gimbal.axis.retention.collecting import SHORT_GRACE_S, Collecting
from gimbal.axis.retention.deleting import delete_traces
from gimbal.axis.retention.enforcing import Enforcing, Once
from gimbal.axis.retention.erasing import Erasing, Progress
from gimbal.axis.retention.files import TraceFiles
from gimbal.axis.retention.kept import KeptTexts
from gimbal.axis.retention.model import (
    JOB_ENFORCE,
    JOB_ERASE,
    SCHEDULE,
    ClassState,
    EraseUser,
    Erasure,
    Proof,
    RetentionTerms,
    RunReport,
    SetRetention,
    Tombstone,
)
from gimbal.axis.retention.proving import Proving
from gimbal.axis.retention.rewriting import Rewriting
from gimbal.axis.retention.runs import DeletedRuns
from gimbal.axis.retention.scrubbing import Scrubbing
from gimbal.axis.retention.store import NO_POLICY, erasure_of, erasures, policies, policy_row, stones_of
from gimbal.axis.retention.subject import hashes_of
from gimbal.axis.retention.terms import expired
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock, from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor

DAILY, HOURLY = "23 3 * * *", "41 * * * *"
LATE_SCHEDULE = "retention-late"
_MOST_DAYS = 36_500
_LONGEST_USER, _LONGEST_REASON = 1000, 2000


class Retaining:
    """Terms, runs, erasures and proofs over the three stores."""

    def __init__(
        self,
        catalog: Catalog,
        columns: Columns,
        blobs: Blobs,
        clock: Clock,
        *,
        grace_s: float = SHORT_GRACE_S,
        disk_s: float = 900.0,
    ) -> None:
        self._catalog = catalog
        self._columns = columns
        self._rewriting = Rewriting(columns, clock)
        self._collecting = Collecting(catalog, columns, blobs)
        self.proofs = Proving(catalog, self._rewriting)
        self._deleted, files = DeletedRuns(catalog, self._rewriting), TraceFiles(catalog, columns)
        self._files = files
        self.erasing = Erasing(
            catalog, columns, collecting=self._collecting, rewriting=self._rewriting, proving=self.proofs, files=files,
            grace_s=grace_s, disk_s=disk_s,
        )  # fmt: skip
        self._scrubbing = Scrubbing(catalog, columns, self._collecting, self.erasing)
        self._enforcing = Enforcing(
            self._rewriting, self._collecting, self.proofs, deleted=self._deleted, files=files,
            kept=KeptTexts(catalog, columns), disk_s=disk_s,
        )  # fmt: skip

    async def get(self, ctx: Context) -> RetentionTerms:
        """Return the terms of the project, and what is stored in each class."""
        row = await self._policy(ctx)
        there = await self._rewriting.tables()
        states = [await self._state(ctx, CLASSES.get(name), row["keep"].get(name), there) for name in sorted(CLASSES)]
        schedules = await ctx.get(Schedules).all(ctx) if ctx.services.has(Schedules) else []
        return RetentionTerms(
            hold=row["hold"],
            hold_reason=row["hold_reason"],
            classes=states,
            next_run=next((one.next_at for one in schedules if one.slug == SCHEDULE), None),
            updated_at=row["updated_at"],
            updated_by=row["updated_by"],
        )

    async def _state(self, ctx: Context, one: DataClass, days: int | None, there: set[str]) -> ClassState:
        if one is DELETED_RUNS:
            upto = ctx.now() - timedelta(days=days) if days is not None else None
            return msgspec.structs.replace(await self._deleted.state(str(ctx.project), upto), keep_days=days)
        rows = size = due = 0
        oldest: int | None = None
        for table in one.tables:
            if table.name not in there:
                continue
            until = to_us(ctx.now() - timedelta(days=days)) if days is not None else 0
            condition, values = expired(one, table, str(ctx.project), until)
            found = (
                await self._columns.query(
                    f"SELECT count() AS rows, min({table.clock}) AS oldest, countIf({condition}) AS due "
                    f"FROM `{table.name}` WHERE project = {{project:String}} AND ({table.only or 1})",
                    values,
                )
            )[0]
            rows += found["rows"]
            due += found["due"] if days is not None else 0
            size += await self._share(table.name, found["rows"])
            if found["rows"]:
                oldest = found["oldest"] if oldest is None else min(oldest, found["oldest"])
        return ClassState(
            name=one.name,
            meaning=one.meaning,
            keep_days=days,
            rows=rows,
            bytes=size,
            oldest=None if oldest is None else from_us(max(oldest, 0)),
            due=due,
        )

    async def _share(self, table: str, rows: int) -> int:
        """Return about how many bytes on the disk some rows of a table take: their share of all."""
        if not rows:
            return 0
        found = await self._columns.query(
            "SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows FROM system.parts "
            "WHERE database = currentDatabase() AND table = {table:String} AND active",
            {"table": table},
        )
        return int(found[0]["bytes"] * rows / max(found[0]["rows"], rows))

    async def set(self, ctx: Context, body: SetRetention) -> RetentionTerms:
        """Set terms and hold; raise BadInput when they cannot be meant."""
        for name, days in body.keep_days.items():
            if name not in CLASSES:
                raise BadInput(
                    f"There is no data class {name!r}.", where="keep_days", todo=f"There are: {', '.join(CLASSES)}."
                )
            if days is not None and not 1 <= days <= _MOST_DAYS:
                raise BadInput(
                    f"{name} cannot be kept for {days} days.",
                    where=f"keep_days.{name}",
                    todo="Give 1 or more, or null.",
                )
        if body.hold and not (body.hold_reason or "").strip():
            raise BadInput("A legal hold needs a reason.", where="hold_reason", todo="Say what it is for.")
        async with self._catalog.write(ctx) as tx:
            row = await policy_row(tx, str(ctx.project))
            keep = {**row["keep"], **body.keep_days}
            _check_order(keep)
            hold = row["hold"] if body.hold is None else body.hold
            reason = row["hold_reason"] if body.hold_reason is None else body.hold_reason.strip()
            values: dict[str, Any] = {
                "keep": {name: days for name, days in keep.items() if days is not None},
                "hold": hold,
                "hold_reason": reason if hold else "",
                "updated_at": ctx.now(),
                "updated_by": ctx.principal.name,
            }
            await tx.execute(sa.update(policies).where(policies.c.project == ctx.project).values(values))
        await self._schedule(ctx)
        return await self.get(ctx)

    async def _schedule(self, ctx: Context) -> None:
        if ctx.services.has(Schedules):
            schedules = ctx.get(Schedules)
            await schedules.set(ctx, SCHEDULE, cron=DAILY, job=JOB_ENFORCE, payload={})
            await schedules.set(ctx, LATE_SCHEDULE, cron=HOURLY, job=JOB_ENFORCE, payload={"late_only": True})

    async def run(self, ctx: Context, run_id: str, once: Once, *, late_only: bool = False) -> RunReport:
        """Do what is due now: terms, and late data of erasures. Under a legal hold nothing is deleted."""
        row = await self._policy(ctx)
        if row["hold"]:
            return RunReport(held=True, rows={}, blobs=0, proofs=[])
        since = to_us(ctx.now() - timedelta(days=1)) if late_only else 0
        late = [proof.id for proof in await self.erasing.again(ctx, since_us=since)]
        if late_only:
            return RunReport(held=False, rows={}, blobs=0, proofs=late)
        report = await self._enforcing.run(ctx, row["keep"], run_id, once)
        return RunReport(held=False, rows=report.rows, blobs=report.blobs, proofs=[*late, *report.proofs])

    async def start(self, ctx: Context) -> Job:
        """Enqueue a run."""
        return await ctx.get(Jobs).enqueue(ctx, JOB_ENFORCE, {})

    async def erase(self, ctx: Context, body: EraseUser) -> Erasure:
        """Ask for the erasure of a user, or only count; raise BadInput, or Conflict under a legal hold."""
        if not 1 <= len(body.user) <= _LONGEST_USER:
            raise BadInput("A user id has 1 to 1000 characters.", where="user", todo="Give it as spans have it.")
        if not 1 <= len(body.reason.strip()) <= _LONGEST_REASON:
            raise BadInput("An erasure needs a reason.", where="reason", todo="Say why, without naming the person.")
        if body.user in body.reason:
            raise BadInput("The reason names the user.", where="reason", todo="It is kept: leave the id out of it.")
        async with self._catalog.write() as tx:
            row = await policy_row(tx, str(ctx.project))
        if row["hold"] and not body.dry_run:
            raise _held(row)
        user_hash, quoted_hash = hashes_of(row["salt"], body.user)
        asked = Erasure(
            id=new_id(), project=str(ctx.project), status="dry_run" if body.dry_run else "queued", user_hash=user_hash,
            reason=body.reason.strip(), sessions=body.sessions, keep_costs=body.keep_costs, requested_at=ctx.now(),
            requested_by=ctx.principal.name,
        )  # fmt: skip
        stone = Tombstone(
            erasure=asked.id, project=asked.project, salt=row["salt"], user_hash=user_hash, quoted_hash=quoted_hash,
            at_us=to_us(asked.requested_at), sessions=body.sessions, keep_costs=body.keep_costs,
        )  # fmt: skip
        counts = await self.erasing.counts(stone)
        ctx.audit(user_hash=user_hash, dry_run=body.dry_run, reason=asked.reason)
        values: dict[str, Any] = {
            name: getattr(asked, name)
            for name in ("id", "project", "status", "user_hash", "reason", "sessions", "keep_costs", "requested_at",
                         "requested_by", "done_at", "proof_id")
        }  # fmt: skip
        values |= {"quoted_hash": quoted_hash, "counts": counts, "pending": None}
        if body.dry_run:
            return msgspec.structs.replace(asked, counts=counts)
        async with self._catalog.write(ctx) as tx:
            values["job_id"] = await self._enqueue(tx, ctx, asked.id)
            await tx.execute(erasures.insert().values(values))
        await self._schedule(ctx)
        return await self.erasure(ctx, asked.id)

    async def delete_traces(self, ctx: Context, trace_ids: Sequence[str]) -> Proof:
        """Delete traces for good with all that is stored of them; return the proof. Raise Conflict under a legal hold."""
        await self.must_not_be_held(ctx)
        await self._files.remove(str(ctx.project), [name for one in trace_ids for name in (one, f"tr-{one}")])
        proof = await delete_traces(ctx, self._rewriting, self.proofs, trace_ids)
        await self._schedule(ctx)
        return proof

    async def _enqueue(self, tx: AsyncConnection, ctx: Context, erasure_id: str) -> str:
        job = await ctx.get(Jobs).enqueue_in(
            tx, str(ctx.project), ctx.principal, JOB_ERASE, {"erasure": erasure_id}, key=erasure_id
        )
        return job.id

    async def carry_out(self, ctx: Context, erasure_id: str, progress: Progress) -> Proof:
        """Carry an erasure out; raise Conflict when a legal hold was put on meanwhile."""
        await self.must_not_be_held(ctx)
        # First of all: a restore of one of them must not bring back what goes now.
        noted = await self._scrubbing.note(str(ctx.project))
        proof = await self.erasing.carry_out(ctx, erasure_id, progress, noted)
        # Now with the marks of its traces.
        await self._scrubbing.note(str(ctx.project))
        return proof

    async def tombstones(self) -> list[Tombstone]:
        """Return what is known of the erasures of the whole installation, for a restore elsewhere."""
        noted = await self.erasing.noted(await stones_of(self._catalog))
        return [msgspec.convert(one, Tombstone) for one in noted]

    async def scrub(self, ctx: Context, path: Path) -> Proof:
        """Take what was erased out of a backup, for all projects; return the proof.

        Raise ConfigurationError when it is damaged or no backup.
        """
        done = await self._scrubbing.scrub(path)
        proof = Proof(
            id=new_id(), project=ctx.project or DEFAULT_PROJECT, kind="backup", subject=path.name, at=ctx.now(),
            backups=[done],
        )  # fmt: skip
        return await self.proofs.write(ctx, proof)

    async def apply_again(self, noted: Sequence[dict[str, Any]]) -> dict[str, int]:
        """Take out of a restored installation what was erased before and after the backup; return the rows by table."""
        stones = {one.erasure: one for one in await stones_of(self._catalog)}
        stones |= {one.erasure: one for one in (msgspec.convert(one, Tombstone) for one in noted)}
        return await self.erasing.apply([stones[name] for name in sorted(stones)])

    async def erasure(self, ctx: Context, erasure_id: str) -> Erasure:
        """Return an erasure of the project; raise NotFound."""
        query = sa.select(erasures).where(erasures.c.id == erasure_id, erasures.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no erasure {erasure_id!r}.", where="id", todo="`gimbal retention erasures`.")
        return erasure_of(row)

    async def erasures(self, ctx: Context, *, cursor: str | None = None, limit: int = 50) -> Page[Erasure]:
        """Return the erasures of the project, newest first."""
        query = sa.select(erasures).where(erasures.c.project == ctx.project).order_by(erasures.c.id.desc())
        if cursor:
            query = query.where(erasures.c.id < cursor_text(cursor, "id"))
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query.limit(check_limit(limit) + 1))).mappings().all()
        items = [erasure_of(row) for row in rows[:limit]]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)

    async def must_not_be_held(self, ctx: Context) -> None:
        """Raise Conflict under a legal hold."""
        row = await self._policy(ctx)
        if row["hold"]:
            raise _held(row)

    async def _policy(self, ctx: Context) -> Mapping[Any, Any]:
        query = sa.select(policies).where(policies.c.project == ctx.project)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).mappings().first()
        return row or NO_POLICY


def _check_order(keep: Mapping[str, int | None]) -> None:
    """Raise BadInput for content that would outlive its spans."""
    content, traces = keep.get("content"), keep.get("traces")
    if content is not None and traces is not None and content > traces:
        raise BadInput(
            f"Content cannot be kept for {content} days when its spans go after {traces}.",
            where="keep_days",
            todo="Keep content for no longer than traces, or leave it out.",
        )


def _held(row: Mapping[Any, Any]) -> Conflict:
    return Conflict(
        f"A legal hold is on: {row['hold_reason']}.",
        where="hold",
        kept="everything",
        todo="An admin lifts it with `gimbal retention set --no-hold` when it is over.",
    )
