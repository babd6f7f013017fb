"""Carries jobs out and starts scheduled ones. One worker runs several jobs at a time; several workers share a queue.

A claim is one transaction, so a job has one worker. While it works the worker renews its lease; a job whose lease has
run out is claimed by whoever comes first, and counts one more attempt. At shutdown running jobs get a grace, then they
are parked, which costs no attempt.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.expression import Update

from gimbal.engines.compute.jobs import KINDS, JobContext, Jobs, to_job
from gimbal.engines.compute.model import Job, JobError
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.store import job_steps, jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Principal, Services
from gimbal.kernel.errors import GimbalError

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_BEAT_S = 1.0
_LEASE = timedelta(seconds=30)


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
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs finish within the grace and park the rest."""
        await self._take_back()
        while not stop.is_set():
            try:
                await self._schedules.fire_due()
                claimed = len(self._running) < self._concurrency and await self._claim_one()
            except GimbalError as problem:
                _log.warning("the queue cannot be read now: %s", problem)
                claimed = False
            if not claimed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_S)
        await self._shut_down()

    async def _take_back(self) -> None:
        """Make the jobs of this worker's earlier life due at once instead of after their lease."""
        async with self._catalog.write() as tx:
            mine = (jobs.c.status == "running", jobs.c.owner == self._name)
            await tx.execute(jobs.update().where(*mine).values(lease_until=self._clock.now()))

    def _due(self) -> sa.Select[Any]:
        now = self._clock.now()
        waiting = sa.and_(jobs.c.status.in_(("queued", "parked")), jobs.c.run_after <= now)
        lost = sa.and_(jobs.c.status == "running", jobs.c.lease_until <= now)
        return sa.select(jobs).where(sa.or_(waiting, lost)).order_by(jobs.c.run_after, jobs.c.id).limit(1)

    async def _claim_one(self) -> bool:
        # A look first: an idle queue costs a read, never a write lock.
        async with self._catalog.read() as tx:
            if (await tx.execute(self._due())).first() is None:
                return False
        async with self._catalog.write() as tx:
            row = (await tx.execute(self._due().with_for_update(skip_locked=True))).mappings().first()
            if row is None:
                return False
            died = row["status"] == "running"
            if died and row["attempt"] >= row["attempts"]:
                error = JobError(
                    code="worker_died",
                    message=f"The worker died in each of {row['attempts']} attempts.",
                    todo="See the worker's log; the job may need more memory than there is.",
                )
                await tx.execute(self._ending(row["id"], "failed", error=error))
                return True
            attempt = row["attempt"] + (row["status"] != "parked")
            values: dict[str, Any] = {
                "status": "running",
                "attempt": max(attempt, 1),
                "owner": self._name,
                "lease_until": self._clock.now() + _LEASE,
                "started_at": row["started_at"] or self._clock.now(),
            }
            await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(values))
        job = to_job({**row, **values})
        principal = msgspec.convert(row["principal"], Principal)
        task = asyncio.create_task(self._carry_out(job, principal), name=f"job-{job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))
        return True

    def _ending(self, job_id: str, status: str, *, result: Any = None, error: JobError | None = None) -> Update:
        return (
            jobs.update()
            .where(jobs.c.id == job_id)
            .values(
                status=status, result=result, error=error, finished_at=self._clock.now(), owner=None, lease_until=None
            )
        )

    async def _carry_out(self, job: Job, principal: Principal) -> None:
        """Run one attempt and note how it ended."""
        work = asyncio.create_task(self._call(job, principal))
        beat = asyncio.create_task(self._beat(job.id, work))
        try:
            result = await work
        except asyncio.CancelledError:
            await self._note_stopped(job)
        except Exception as problem:  # noqa: BLE001 - whatever a job raises is its own, not the worker's
            await self._note_failure(job, problem)
        else:
            await self._write(self._ending(job.id, "succeeded", result=msgspec.to_builtins(result, enc_hook=str)))
        finally:
            beat.cancel()

    async def _call(self, job: Job, principal: Principal) -> Any:
        kind = KINDS.get(job.name)
        payload = msgspec.convert(job.payload, kind.payload)
        jc = JobContext(
            self._services,
            job,
            principal,
            tell=lambda done, total, message: self._tell(job.id, done, total, message),
            checkpoint=lambda step, run: self._step(job.id, step, run),
        )
        return await kind.handler(jc, payload)

    async def _beat(self, job_id: str, work: "asyncio.Task[Any]") -> None:
        """Renew the lease, and stop the work when someone asked for it or another worker has it."""
        beats = 0
        while True:
            await asyncio.sleep(_BEAT_S)
            beats += 1
            query = sa.select(jobs.c.cancelling, jobs.c.owner).where(jobs.c.id == job_id)
            try:
                async with self._catalog.read() as tx:
                    row = (await tx.execute(query)).first()
                if row is None or row.cancelling or row.owner != self._name:
                    work.cancel()
                    return
                if beats % 10 == 0:
                    renewed = jobs.update().where(jobs.c.id == job_id, jobs.c.owner == self._name)
                    await self._write(renewed.values(lease_until=self._clock.now() + _LEASE))
            except GimbalError as problem:
                _log.warning("the lease of job %s could not be renewed: %s", job_id, problem)

    async def _note_stopped(self, job: Job) -> None:
        async with self._catalog.read() as tx:
            row = (await tx.execute(sa.select(jobs.c.cancelling, jobs.c.owner).where(jobs.c.id == job.id))).first()
        if row is None or row.owner != self._name:
            return
        if row.cancelling:
            await self._write(self._ending(job.id, "cancelled"))
        else:
            await self._write(
                jobs.update()
                .where(jobs.c.id == job.id)
                .values(status="parked", owner=None, lease_until=None, message="parked at shutdown")
            )

    async def _note_failure(self, job: Job, problem: Exception) -> None:
        body = problem.body() if isinstance(problem, GimbalError) else None
        error = JobError(
            code=body.code if body else type(problem).__name__,
            message=body.message if body else str(problem)[:2000] or type(problem).__name__,
            todo=body.todo if body else "See the worker's log.",
        )
        if body is None:
            _log.error("job %s (%s) failed", job.id, job.name, exc_info=problem)
        # What the input is to blame for does not get better by trying again.
        final = isinstance(problem, GimbalError) and problem.status < 500 and problem.status != 429
        if final or job.attempt >= job.attempts:
            await self._write(self._ending(job.id, "failed", error=error))
            return
        delay = KINDS.get(job.name).retry_delay_s * 2 ** (job.attempt - 1)
        await self._write(
            jobs.update()
            .where(jobs.c.id == job.id)
            .values(
                status="queued",
                owner=None,
                lease_until=None,
                error=error,
                message=f"attempt {job.attempt} failed",
                run_after=self._clock.now() + timedelta(seconds=delay),
            )
        )

    async def _tell(self, job_id: str, done: int, total: int, message: str) -> None:
        mine = (jobs.c.id == job_id, jobs.c.owner == self._name)
        await self._write(jobs.update().where(*mine).values(done=done, total=total, message=message))

    async def _step(self, job_id: str, step: str, run: Callable[[], Awaitable[Any]]) -> Any:
        query = sa.select(job_steps.c.result).where(job_steps.c.job_id == job_id, job_steps.c.step == step)
        async with self._catalog.read() as tx:
            row = (await tx.execute(query)).first()
        if row is not None:
            return row.result
        result = msgspec.to_builtins(await run(), enc_hook=str)
        async with self._catalog.write() as tx:
            await tx.execute(job_steps.insert().values(job_id=job_id, step=step, result=result, at=self._clock.now()))
        return result

    async def _write(self, statement: Update) -> None:
        async with self._catalog.write() as tx:
            await tx.execute(statement)

    async def _shut_down(self) -> None:
        tasks = list(self._running.values())
        if not tasks:
            return
        _log.info("%d job(s) are under way; they get %.0f s", len(tasks), self._grace_s)
        _, late = await asyncio.wait(tasks, timeout=self._grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
