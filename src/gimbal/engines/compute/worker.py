"""Claims jobs, has them carried out and starts scheduled ones. One worker runs several jobs at a time; several share a queue.

A claim is one transaction, so a job has one worker. Whoever carries it out renews its lease; a job whose lease has run
out is claimed by whoever comes first, and counts one more attempt. At shutdown running jobs get a grace, then they are
parked, which costs no attempt. While the executor cannot take any, jobs wait and say why.
"""

import asyncio
import contextlib
import logging
import math
import time
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from gimbal.engines.compute.attempt import Claim, ending
from gimbal.engines.compute.executor import Executor, LocalExecutor
from gimbal.engines.compute.jobs import Jobs, to_job
from gimbal.engines.compute.model import JobError
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.store import jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Principal, Services
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.ids import new_id

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_SCHEDULES_S = 2.0
"""They go by the minute, and an idle worker should cost little."""
_LEASE_S = 30.0
_LONGEST_QUIET_S = 10.0
_WAITING = ("queued", "parked")
_FOLLOWING = sa.select(
    sa.select(sa.func.min(jobs.c.run_after)).where(jobs.c.status.in_(_WAITING)).scalar_subquery(),
    sa.select(sa.func.min(jobs.c.lease_until)).where(jobs.c.status == "running").scalar_subquery(),
)
"""When the next job is due, and when the next lease runs out."""


class Worker:
    """One process's share of the work. `name` is stable over restarts: its own leases are taken back at start."""

    def __init__(
        self,
        services: Services,
        *,
        name: str,
        concurrency: int = 2,
        grace_s: float = 10.0,
        executor: Executor | None = None,
    ) -> None:
        """Without an `executor` its jobs are carried out in this process."""
        self._catalog = services.get(Catalog)
        self._clock = services.get(Clock)
        self._schedules = Schedules(self._catalog, self._clock, services.get(Jobs))
        self._executor = executor or LocalExecutor(services)
        self._name = name
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._stopping = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._away = ""
        """Why no job can begin, as it was last said."""
        self._quiet: int | None = None
        """The catalog's commits when no job was due; None where nobody knows."""
        self._quiet_until: datetime | None = None
        """When a job is due without another commit."""

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
        waiting = sa.and_(jobs.c.status.in_(_WAITING), jobs.c.run_after <= now)
        lost = sa.and_(jobs.c.status == "running", jobs.c.lease_until <= now)
        # A job that kept this process from renewing its lease is late, not lost.
        others = jobs.c.id.not_in(list(self._running))
        return sa.select(jobs).where(sa.or_(waiting, lost), others).order_by(jobs.c.run_after, jobs.c.id).limit(1)

    async def _look(self) -> sa.RowMapping | None:
        """Return a job that is due; of a catalog in which nothing has changed only what has become due since is asked."""
        commits, now = self._catalog.commits(), self._clock.now()
        known = commits is not None and commits == self._quiet
        if known and self._quiet_until is not None and now < self._quiet_until:
            return None
        async with self._catalog.read() as tx:
            row = (await tx.execute(self._due())).mappings().first()
            if row is not None or commits is None:
                self._quiet = None
                return row
            following = (await tx.execute(_FOLLOWING)).one()
        # A claim of this process that was lost without a commit is found by looking now and then.
        moments = [now + timedelta(seconds=_LONGEST_QUIET_S), *(one for one in following if one is not None)]
        self._quiet, self._quiet_until = commits, min(moments)
        return None

    async def _claim_one(self) -> bool:
        # A look first: an idle queue costs a read, never a write lock, nor does it start what jobs run on.
        row = await self._look()
        ends = row is not None and _to_end(row)
        if row is None or not (ends or await self._ready()):
            return False
        async with self._catalog.write() as tx:
            row = (await tx.execute(self._due().with_for_update(skip_locked=True))).mappings().first()
            # Where another one has come to the front meanwhile, nobody has looked whether there is room for it.
            if row is None or (ends and not _to_end(row)):
                return False
            if row["cancelling"]:
                await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(ending(self._clock, "cancelled")))
                return True
            if _to_end(row):
                error = JobError(
                    code="worker_died",
                    message=f"The worker died in each of {row['attempts']} attempts.",
                    todo="See the worker's log; the job may need more memory than there is.",
                )
                failed = ending(self._clock, "failed", error=error)
                await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(failed))
                return True
            attempt = row["attempt"] + (row["status"] != "parked")
            values: dict[str, Any] = {
                "status": "running",
                "attempt": max(attempt, 1),
                "owner": f"{self._name}{self._executor.mark}/{new_id()}",
                "lease_until": self._clock.now() + timedelta(seconds=_LEASE_S),
                "started_at": row["started_at"] or self._clock.now(),
                "message": "" if row["status"] == "parked" else row["message"],
            }
            await tx.execute(jobs.update().where(jobs.c.id == row["id"]).values(values))
        job = to_job({**row, **values})
        principal = msgspec.convert(row["principal"], Principal)
        claim = Claim(job=job, principal=principal, owner=values["owner"], lease_s=_LEASE_S)
        task = asyncio.create_task(self._executor.carry_out(claim), name=f"job-{job.id}")
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))
        return True

    async def _ready(self) -> bool:
        """Tell whether a job could begin; where none can for long, let those that are due say why."""
        try:
            ready = await self._executor.ready()
        except GimbalError as problem:
            if self._away != str(problem):
                self._away = str(problem)
                _log.warning("jobs wait: %s", problem)
            await self._park_due(self._away)
            return False
        if ready:
            self._away = ""
        return ready

    async def _park_due(self, why: str) -> None:
        """Park what is due and could have an attempt; what has none left, or was cancelled, is ended by a claim."""
        message = f"waits: {why}".replace("\0", "")
        waiting = self._due().where(jobs.c.cancelling.is_(False), jobs.c.message != message)
        async with self._catalog.read() as tx:
            if (await tx.execute(waiting)).first() is None:
                return
        due = waiting.with_only_columns(jobs.c.id).order_by(None).limit(None)
        lost = sa.and_(jobs.c.status == "running", jobs.c.attempt < jobs.c.attempts)
        parked: dict[str, Any] = {"status": "parked", "message": message, "owner": None, "lease_until": None}
        # A claim of what is parked counts no attempt: the one that it would have been is counted here.
        counted = parked | {"attempt": jobs.c.attempt + 1}
        async with self._catalog.write() as tx:
            mine = jobs.update().where(jobs.c.id.in_(due))
            await tx.execute(mine.where(jobs.c.status == "parked").values(parked))
            await tx.execute(mine.where(sa.or_(jobs.c.status == "queued", lost)).values(counted))

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


def _to_end(row: sa.RowMapping) -> bool:
    """Tell whether a due job is not to be tried again."""
    return bool(row["cancelling"] or (row["status"] == "running" and row["attempt"] >= row["attempts"]))
