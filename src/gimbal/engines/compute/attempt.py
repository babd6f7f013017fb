"""One attempt at one job, in whatever process it is carried out: the call, the lease, and the note of how it ended.

Every claim has a name of its own, and whatever an attempt writes about its job it writes only while that claim holds:
one that was given up for dead and comes back changes nothing. `worker` makes claims, an `Executor` has them carried out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.engines.compute.jobs import KINDS, JobContext, Standing
from gimbal.engines.compute.model import Job, JobError
from gimbal.engines.compute.store import job_steps, jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Principal, Services
from gimbal.kernel.errors import BadInput, Busy, GimbalError

_log = logging.getLogger(__name__)
_BEAT_S = 1.0
_RENEWALS = 3
"""In the time of a lease."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to one attempt at one job, held until the lease runs out; it can be sent to another process."""

    job: Job
    principal: Principal
    """Who asked for it."""
    owner: str
    """Name of the worker and of the claim."""
    lease_s: float = 30.0
    """Seconds without a sign of life after which somebody else may claim the job."""

    @property
    def mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        """What holds of the row as long as this attempt is the one that counts."""
        return (jobs.c.id == self.job.id, jobs.c.owner == self.owner, jobs.c.status == "running")

    def lease_until(self, clock: Clock) -> Any:
        """Return until when the lease holds that is renewed now."""
        return clock.now() + timedelta(seconds=self.lease_s)


class Attempt:
    """Carries one claim out; `run` once."""

    def __init__(self, services: Services, claim: Claim) -> None:
        self._services = services
        self._catalog = services.get(Catalog)
        self._clock = services.get(Clock)
        self._claim = claim
        self._work: asyncio.Task[Any] | None = None
        self._lost = False
        """Whether another worker has the job now."""
        self._parking = ""
        """Why it is to be parked; empty while it is not."""

    async def run(self) -> None:
        """Have the job done and note how it ended; what it raises is noted, not raised."""
        self._work = asyncio.create_task(self._call())
        if self._parking:
            self._work.cancel()
        beat = asyncio.create_task(self._beat())
        try:
            try:
                result = plain(await self._work)
            except asyncio.CancelledError:
                await self._note_stopped()
            except Exception as problem:  # noqa: BLE001 - whatever a job raises is its own, not the worker's
                await self._note_failure(problem)
            else:
                await self._note(ending(self._clock, "succeeded", result=result))
        except GimbalError as problem:
            # The lease runs out, and the job is tried again from its last checkpoint.
            _log.warning("how job %s ended could not be noted: %s", self._claim.job.id, problem)
        finally:
            beat.cancel()

    async def holds(self) -> bool:
        """Renew the lease; tell whether the claim still holds, which it may not where it was long on its way."""
        await self._note({"lease_until": self._claim.lease_until(self._clock)})
        return not self._lost

    def park(self, why: str) -> None:
        """Stop the work; the job goes on from its last checkpoint later, and this costs no attempt."""
        self._parking = why
        if self._work is not None:
            self._work.cancel()

    async def _call(self) -> Any:
        job, principal = self._claim.job, self._claim.principal
        kind = KINDS.get(job.name)
        try:
            payload = msgspec.convert(job.payload, kind.payload)
        except msgspec.ValidationError as problem:
            raise BadInput(
                f"A job {kind.name} cannot be given this: {problem}.", where="payload", todo="Enqueue it anew."
            ) from None
        if self._services.has(Standing):
            # A schedule, or a job that waited long, does not outlive the key of whoever asked for it.
            principal = await self._services.get(Standing).standing(principal, job.project)
        jc = JobContext(self._services, job, principal, tell=self._tell, checkpoint=self._step)
        return await kind.handler(jc, payload)

    async def _beat(self) -> None:
        """Renew the lease, and stop the work when someone asked for it or another worker has it."""
        beats, asked = 0, False
        apart = max(1, int(self._claim.lease_s / _RENEWALS / _BEAT_S))
        query = sa.select(jobs.c.cancelling, jobs.c.owner).where(jobs.c.id == self._claim.job.id)
        while True:
            await asyncio.sleep(_BEAT_S)
            beats += 1
            try:
                async with self._catalog.read() as tx:
                    row = (await tx.execute(query)).first()
                if self._work is None or self._work.done():
                    return
                if row is None or row.owner != self._claim.owner:
                    self._give_up()
                    return
                if row.cancelling and not asked:
                    asked = self._work.cancel()
                if beats % apart == 0:
                    await self._note({"lease_until": self._claim.lease_until(self._clock)})
            except GimbalError as problem:
                _log.warning("the lease of job %s could not be renewed: %s", self._claim.job.id, problem)

    def _give_up(self) -> None:
        """Stop work that another worker has taken over."""
        if not self._lost:
            _log.warning("job %s is another worker's now; this attempt stops", self._claim.job.id)
            self._lost = True
            if self._work is not None:
                self._work.cancel()

    async def _note_stopped(self) -> None:
        if self._lost:
            return
        async with self._catalog.read() as tx:
            query = sa.select(jobs.c.cancelling).where(jobs.c.id == self._claim.job.id)
            cancelling = (await tx.execute(query)).scalar()
        if cancelling:
            await self._note(ending(self._clock, "cancelled"))
        elif self._parking:
            parked = {"status": "parked", "owner": None, "lease_until": None, "message": self._parking}
            await self._note(parked)
        else:
            # Nobody asked for it: a job whose own work was cancelled failed, and would else be tried for ever.
            await self._note_failure(RuntimeError("The job cancelled itself."))

    async def _note_failure(self, problem: Exception) -> None:
        job, mine = self._claim.job, self._claim.mine
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
            await self._note(ending(self._clock, "failed", error=error))
            return
        delay = KINDS.get(job.name).retry_delay_s * 2 ** (job.attempt - 1)
        asked = problem.retry_after if isinstance(problem, GimbalError) else None
        later: dict[str, Any] = {
            "status": "queued", "owner": None, "lease_until": None, "error": error,
            "message": f"attempt {job.attempt} failed",
            "run_after": self._clock.now() + timedelta(seconds=max(delay, asked or 0.0)),
        }  # fmt: skip
        async with self._catalog.write() as tx:
            cancelled = jobs.update().where(*mine, jobs.c.cancelling).values(ending(self._clock, "cancelled"))
            await tx.execute(cancelled)
            await tx.execute(jobs.update().where(*mine).values(later))

    async def _tell(self, done: int, total: int, message: str) -> None:
        # PostgreSQL stores no U+0000 in a text.
        await self._note({"done": done, "total": total, "message": message.replace("\0", "")})

    async def _step(self, step: str, run: Callable[[], Awaitable[Any]]) -> Any:
        job_id = self._claim.job.id
        stored = sa.select(job_steps.c.result).where(job_steps.c.job_id == job_id, job_steps.c.step == step)
        async with self._catalog.read() as tx:
            row = (await tx.execute(stored)).first()
        if row is not None:
            return row.result
        result = plain(await run())
        async with self._catalog.write() as tx:
            # The lock on the job's row keeps a claim from coming in between.
            mine = sa.select(jobs.c.id).where(*self._claim.mine).with_for_update()
            if (await tx.execute(mine)).first() is not None:
                values = {"job_id": job_id, "step": step, "result": result, "at": self._clock.now()}
                await insert_missing(tx, job_steps, values)
                return (await tx.execute(stored)).scalar_one()
        self._give_up()
        raise asyncio.CancelledError

    async def _note(self, values: dict[str, Any]) -> None:
        """Write about the job as long as it is this attempt's; stop the attempt when it is not."""
        async with self._catalog.write() as tx:
            written = (await tx.execute(jobs.update().where(*self._claim.mine).values(values))).rowcount
        if not written:
            self._give_up()


def ending(clock: Clock, status: str, *, result: Any = None, error: JobError | None = None) -> dict[str, Any]:
    """Return what is written of a job that has ended."""
    return {
        "status": status, "result": result, "error": error, "finished_at": clock.now(), "owner": None, "lease_until": None,
    }  # fmt: skip


def plain(result: Any) -> Any:
    """Return a result as it will be read from the catalog; what is no JSON fails here, as the job's own failure."""
    return msgspec.json.decode(msgspec.json.encode(result, enc_hook=str))
