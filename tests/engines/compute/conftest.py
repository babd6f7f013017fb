"""A queue over a fresh catalog, and workers that look often, so that no test waits for a poll."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.engines.compute.doing import BODIES, Do

import gimbal.engines.compute.attempt as attempt_module
import gimbal.engines.compute.worker as worker_module
from gimbal.engines.compute.executor import Executor
from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.engines.compute.model import ENDED, Job
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services
from gimbal.testing.clock import FrozenClock

DEADLINE_S = 20


async def until(what: Callable[[], Awaitable[bool]], message: str) -> None:
    """Wait for a condition; fail with `message` when it does not come true."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await what():  # noqa: ASYNC110 - a database has no event to wait on
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(message)


class Crew:
    """Workers of one test, over one catalog; each can be stopped as SIGTERM does, or dropped as a crash does."""

    def __init__(self, services: Services, queue: Jobs, ctx: Context) -> None:
        self.services, self.queue, self.ctx = services, queue, ctx
        self._stops: dict[str, asyncio.Event] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self.workers: dict[str, Worker] = {}

    def start(
        self, name: str = "one", *, concurrency: int = 2, grace_s: float = 0.05, executor: Executor | None = None
    ) -> None:
        self._stops[name] = asyncio.Event()
        self.workers[name] = Worker(
            self.services, name=name, concurrency=concurrency, grace_s=grace_s, executor=executor
        )
        self._runs[name] = asyncio.create_task(self.workers[name].run(self._stops[name]))

    async def stop(self, name: str = "one") -> None:
        self._stops[name].set()
        await self._runs.pop(name)

    async def stop_all(self) -> None:
        for name in list(self._runs):
            await self.stop(name)

    async def state(self, job: Job) -> Job:
        return await self.queue.get(self.ctx, job.id)

    async def status(self, job: Job, wanted: str) -> Job:
        async def reached() -> bool:
            return (await self.state(job)).status == wanted

        await until(reached, f"the job did not become {wanted}, but {(await self.state(job))}")
        return await self.state(job)

    async def ended(self, job: Job) -> Job:
        async def over() -> bool:
            return (await self.state(job)).status in ENDED

        await until(over, f"the job did not end, it is {(await self.state(job))}")
        return await self.state(job)

    async def failed_once(self, job: Job, attempt: int) -> Job:
        async def failed() -> bool:
            row = await self.state(job)
            return row.status == "queued" and row.attempt == attempt

        await until(failed, f"attempt {attempt} did not fail")
        return await self.state(job)

    async def idle_rounds(self) -> None:
        """Let the workers look at the queue: a job that is enqueued now is done, so what was due earlier was seen."""

        async def nothing(jc: JobContext) -> None:
            return None

        BODIES["idle"] = nothing
        await self.ended(await self.queue.enqueue(self.ctx, "worker.do", Do(body="idle")))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BODIES.clear()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_POLL_S", 0.01)
    monkeypatch.setattr(attempt_module, "_BEAT_S", 0.01)
    monkeypatch.setattr(attempt_module, "_RENEWALS", 1500)


@pytest.fixture
def queue(catalog: Catalog, clock: FrozenClock, services: Services) -> Jobs:
    """Give the queue in a catalog."""
    found = Jobs(catalog, clock)
    services.register(Catalog, catalog)
    services.register(Jobs, found)
    return found


@pytest.fixture
def schedules(catalog: Catalog, clock: FrozenClock, queue: Jobs) -> Schedules:
    """Give the schedules in the same catalog."""
    return Schedules(catalog, clock, queue)


@pytest.fixture
async def crew(services: Services, queue: Jobs, ctx: Context) -> AsyncIterator[Crew]:
    """Give workers; those that still run after the test are stopped."""
    found = Crew(services, queue, ctx)
    yield found
    await found.stop_all()
