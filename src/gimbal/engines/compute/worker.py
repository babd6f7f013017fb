"""Carries jobs out and starts scheduled ones. One worker runs several jobs at a time; several workers share a queue.

A claim is one transaction, so a job has one worker. While it works the worker renews its lease; a job whose lease has
run out is claimed by whoever comes first, and counts one more attempt. Every claim has a name of its own, and whatever
a worker writes about a job it writes only while that claim holds: one that was given up for dead and comes back changes
nothing. At shutdown running jobs get a grace, then they are parked, which costs no attempt.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.engines.compute.jobs import KINDS, JobContext, Jobs, Standing, to_job
from gimbal.engines.compute.model import Job, JobError
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.store import job_steps, jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Principal, Services
from gimbal.kernel.errors import BadInput, Busy, GimbalError
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_SCHEDULES_S = 2.0
"""They go by the minute, and an idle worker should cost little."""
_BEAT_S = 1.0
_BEATS_PER_RENEWAL = 10
_LEASE = timedelta(seconds=30)


class _Claim(msgspec.Struct, kw_only=True):
    """One attempt at one job."""

    job: Job
    principal: Principal
    owner: str
    """Name of the worker and of the claim."""
    lost: bool = False
    """Whether another worker has the job now."""
    work: "asyncio.Task[Any] | None" = None

    @property
    def mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        """What holds of the row as long as this attempt is the one that counts."""
        return (jobs.c.id == self.job.id, jobs.c.owner == self.owner, jobs.c.status == "running")


class Worker:
    """One process's share of the work. `name` is stable over restarts: its own leases are taken back at start."""

    def __init__(self, services: Services, *, name: str, concurrency: int = 2, grace_s: float = 10.0) -> None:
        self._services = services
        self._catalog = services.get(Catalog)
        self._clock = services.get(Clock)
        self._schedules = Schedules(self._catalog, self._clock, services.get(Jobs))
        self._name = name
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._stopping = False
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs finish within the grace and park the rest."""
        await self._take_back()
        scheduled = -math.inf
        while not stop.is_set():
            try:
                if time.monotonic() - scheduled >= _SCHEDULES_S:
                    await self._schedules.fire_due()
                    scheduled = time.monotonic()
                claimed = not stop.is_set() and len(self._running) < self._concurrency and await self._claim_one()
            except GimbalError as problem:
                _log.warning("the queue cannot be read now: %s", problem)
                claimed = False
            if not claimed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_S)
        await self._shut_down()

    async def _take_back(self) -> None:
        """Make the jobs of this worker's earlier life due at once instead of after their lease."""
        earlier = jobs.c.owner.startswith(f"{self._name}/", autoescape=True)
        async with self._catalog.write() as tx:
            await tx.execute(
                jobs.update().where(jobs.c.status == "running", earlier).values(lease_until=self._clock.now())
            )

    def _due(self) -> sa.Select[Any]:
        now = self._clock.now()
        waiting = sa.and_(jobs.c.status.in_(("queued", "parked")), jobs.c.run_after <= now)
        lost = sa.and_(jobs.c.status == "running", jobs.c.lease_until <= now)
        # A job that kept this process from renewing its lease is late, not lost.
        others = jobs.c.id.not_in(list(self._running))
        return sa.select(jobs).where(sa.or_(waiting, lost), others).order_by(jobs.c.run_after, jobs.c.id).limit(1)

    async def _claim_one(self) -> bool:
        # A look first: an idle queue costs a read, never a write lock.
        async with self._catalog.read() as tx:
            if (await tx.execute(self._due())).first() is None:
                return False
        async with self._catalog.write() as tx:
            row = (await tx.execute(self._due().with_for_update(skip_locked=True))).mappings().first()
            if row is None:
                return False
            if row["cancelling"]:
                await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(self._ending("cancelled")))
                return True
            if row["status"] == "running" and row["attempt"] >= row["attempts"]:
                error = JobError(
                    code="worker_died",
                    message=f"The worker died in each of {row['attempts']} attempts.",
                    todo="See the worker's log; the job may need more memory than there is.",
                )
                await tx.execute(
                    jobs.update().where(jobs.c.id == row["id"]).values(self._ending("failed", error=error))
                )
                return True
            attempt = row["attempt"] + (row["status"] != "parked")
            values: dict[str, Any] = {
                "status": "running",
                "attempt": max(attempt, 1),
                "owner": f"{self._name}/{new_id()}",
                "lease_until": self._clock.now() + _LEASE,
                "started_at": row["started_at"] or self._clock.now(),
            }
            await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(values))
        job = to_job({**row, **values})
        claim = _Claim(job=job, principal=msgspec.convert(row["principal"], Principal), owner=values["owner"])
        task = asyncio.create_task(self._carry_out(claim), name=f"job-{job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))
        return True

    def _ending(self, status: str, *, result: Any = None, error: JobError | None = None) -> dict[str, Any]:
        return {
            "status": status, "result": result, "error": error, "finished_at": self._clock.now(),
            "owner": None, "lease_until": None,
        }  # fmt: skip

    async def _carry_out(self, claim: _Claim) -> None:
        """Run one attempt and note how it ended."""
        claim.work = asyncio.create_task(self._call(claim))
        beat = asyncio.create_task(self._beat(claim))
        try:
            try:
                result = plain(await claim.work)
            except asyncio.CancelledError:
                await self._note_stopped(claim)
            except Exception as problem:  # noqa: BLE001 - whatever a job raises is its own, not the worker's
                await self._note_failure(claim, problem)
            else:
                await self._note(claim, self._ending("succeeded", result=result))
        except GimbalError as problem:
            # The lease runs out, and the job is tried again from its last checkpoint.
            _log.warning("how job %s ended could not be noted: %s", claim.job.id, problem)
        finally:
            beat.cancel()

    async def _call(self, claim: _Claim) -> Any:
        kind = KINDS.get(claim.job.name)
        try:
            payload = msgspec.convert(claim.job.payload, kind.payload)
        except msgspec.ValidationError as problem:
            raise BadInput(
                f"A job {kind.name} cannot be given this: {problem}.", where="payload", todo="Enqueue it anew."
            ) from None
        principal = claim.principal
        if self._services.has(Standing):
            # A schedule, or a job that waited long, does not outlive the key of whoever asked for it.
            principal = await self._services.get(Standing).standing(principal, claim.job.project)
        jc = JobContext(
            self._services,
            claim.job,
            principal,
            tell=lambda done, total, message: self._tell(claim, done, total, message),
            checkpoint=lambda step, run: self._step(claim, step, run),
        )
        return await kind.handler(jc, payload)

    async def _beat(self, claim: _Claim) -> None:
        """Renew the lease, and stop the work when someone asked for it or another worker has it."""
        beats, asked = 0, False
        query = sa.select(jobs.c.cancelling, jobs.c.owner).where(jobs.c.id == claim.job.id)
        while True:
            await asyncio.sleep(_BEAT_S)
            beats += 1
            try:
                async with self._catalog.read() as tx:
                    row = (await tx.execute(query)).first()
                if claim.work is None or claim.work.done():
                    return
                if row is None or row.owner != claim.owner:
                    self._give_up(claim)
                    return
                if row.cancelling and not asked:
                    asked = claim.work.cancel()
                if beats % _BEATS_PER_RENEWAL == 0:
                    await self._note(claim, {"lease_until": self._clock.now() + _LEASE})
            except GimbalError as problem:
                _log.warning("the lease of job %s could not be renewed: %s", claim.job.id, problem)

    def _give_up(self, claim: _Claim) -> None:
        """Stop work that another worker has taken over."""
        if not claim.lost:
            _log.warning("job %s is another worker's now; this attempt stops", claim.job.id)
            claim.lost = True
            if claim.work is not None:
                claim.work.cancel()

    async def _note_stopped(self, claim: _Claim) -> None:
        if claim.lost:
            return
        async with self._catalog.read() as tx:
            query = sa.select(jobs.c.cancelling).where(jobs.c.id == claim.job.id)
            cancelling = (await tx.execute(query)).scalar()
        if cancelling:
            await self._note(claim, self._ending("cancelled"))
        elif self._stopping:
            parked = {"status": "parked", "owner": None, "lease_until": None, "message": "parked at shutdown"}
            await self._note(claim, parked)
        else:
            # Nobody asked for it: a job whose own work was cancelled failed, and would else be tried for ever.
            await self._note_failure(claim, RuntimeError("The job cancelled itself."))

    async def _note_failure(self, claim: _Claim, problem: Exception) -> None:
        job = claim.job
        body = problem.body() if isinstance(problem, GimbalError) else None
        error = JobError(
            code=body.code if body else type(problem).__name__,
            message=body.message if body else str(problem)[:2000] or type(problem).__name__,
            todo=body.todo if body else "See the worker's log.",
        )
        if body is None:
            _log.error("job %s (%s) failed", job.id, job.name, exc_info=problem)
        # What the input is to blame for does not get better by trying again.
        final = isinstance(problem, GimbalError) and problem.status < 500 and not isinstance(problem, Busy)
        if final or job.attempt >= job.attempts:
            await self._note(claim, self._ending("failed", error=error))
            return
        delay = KINDS.get(job.name).retry_delay_s * 2 ** (job.attempt - 1)
        asked = problem.retry_after if isinstance(problem, GimbalError) else None
        later: dict[str, Any] = {
            "status": "queued", "owner": None, "lease_until": None, "error": error,
            "message": f"attempt {job.attempt} failed",
            "run_after": self._clock.now() + timedelta(seconds=max(delay, asked or 0.0)),
        }  # fmt: skip
        async with self._catalog.write() as tx:
            cancelled = jobs.update().where(*claim.mine, jobs.c.cancelling).values(self._ending("cancelled"))
            await tx.execute(cancelled)
            await tx.execute(jobs.update().where(*claim.mine).values(later))

    async def _tell(self, claim: _Claim, done: int, total: int, message: str) -> None:
        # PostgreSQL stores no U+0000 in a text.
        await self._note(claim, {"done": done, "total": total, "message": message.replace("\0", "")})

    async def _step(self, claim: _Claim, step: str, run: Callable[[], Awaitable[Any]]) -> Any:
        stored = sa.select(job_steps.c.result).where(job_steps.c.job_id == claim.job.id, job_steps.c.step == step)
        async with self._catalog.read() as tx:
            row = (await tx.execute(stored)).first()
        if row is not None:
            return row.result
        result = plain(await run())
        async with self._catalog.write() as tx:
            # The lock on the job's row keeps a claim from coming in between.
            mine = sa.select(jobs.c.id).where(*claim.mine).with_for_update()
            if (await tx.execute(mine)).first() is not None:
                values = {"job_id": claim.job.id, "step": step, "result": result, "at": self._clock.now()}
                await insert_missing(tx, job_steps, values)
                return (await tx.execute(stored)).scalar_one()
        self._give_up(claim)
        raise asyncio.CancelledError

    async def _note(self, claim: _Claim, values: dict[str, Any]) -> None:
        """Write about the job as long as it is this attempt's; stop the attempt when it is not."""
        async with self._catalog.write() as tx:
            written = (await tx.execute(jobs.update().where(*claim.mine).values(values))).rowcount
        if not written:
            self._give_up(claim)

    async def _shut_down(self) -> None:
        self._stopping = True
        tasks = list(self._running.values())
        if not tasks:
            return
        _log.info("%d job(s) are under way; they get %.0f s", len(tasks), self._grace_s)
        _, late = await asyncio.wait(tasks, timeout=self._grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)


def plain(result: Any) -> Any:
    """Return a result as it will be read from the catalog; what is no JSON fails here, as the job's own failure."""
    return msgspec.json.decode(msgspec.json.encode(result, enc_hook=str))
