"""A worker of this process, for jobs that a test begins, and the end of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Role, Services


@contextlib.asynccontextmanager
async def working(services: Services) -> AsyncIterator[None]:
    """Carry jobs out until the end."""
    services.register(Clock, SystemClock())
    services.register(Jobs, Jobs(services.get(Catalog), SystemClock()))
    stop = asyncio.Event()
    task = asyncio.create_task(Worker(services, name="w").run(stop))
    yield
    stop.set()
    await task


async def ended(ctx: Context, job_id: str, *, begun: bool = False) -> Job:
    """Return a job once it has ended, or has said something."""
    async with asyncio.timeout(20):
        while True:
            job = await ctx.get(Jobs).get(ctx, job_id)
            if job.finished_at is not None or (begun and job.message):
                return job
            await asyncio.sleep(0.02)


def somebody(ctx: Context, **roles: Role) -> Context:
    """Give the context of a key with these roles, by project, where `ctx` is."""
    return Context(ctx.services, Principal(kind="key", id="k", name="key", roles=roles), ctx.project)
