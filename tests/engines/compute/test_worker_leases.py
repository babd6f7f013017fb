"""Leases: renewed while a job runs, taken over when they have run out, and nothing is written by who lost one."""

import asyncio
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.engines.compute.conftest import Crew, until
from tests.engines.compute.doing import BODIES, Do

import gimbal.engines.compute.attempt as attempt_module
from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.testing.clock import FrozenClock

LATER = timedelta(days=1)


@pytest.mark.parametrize("way", ["step", "result", "failure", "progress"])
async def test_a_worker_that_was_given_up_writes_nothing_any_more(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It stalls past its lease, another takes the job over, and whatever the first one says then is refused."""
    monkeypatch.setattr(attempt_module, "_BEAT_S", 3600.0)
    stall, go, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def it(jc: JobContext) -> str:
        async def word(text: str) -> str:
            return text

        if jc.attempt == 1:
            await stall.wait()
            if way == "step":
                return await jc.step("word", lambda: word("late"))
            if way == "progress":
                await jc.progress(99, 99, "late")
                await asyncio.Event().wait()
            if way == "failure":
                raise OSError
            return "late"
        second.set()
        await go.wait()
        return await jc.step("word", lambda: word("in time"))

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start("one")
    await crew.status(made, "running")
    clock.advance(seconds=30.001)
    crew.start("two")
    await second.wait()
    before = await crew.state(made)
    stall.set()

    async def stopped() -> bool:
        return not crew.workers["one"]._running

    await until(stopped, "the first worker's attempt does not end")
    assert (await crew.state(made)) == before
    go.set()
    done = await crew.ended(made)
    assert (done.status, done.result, done.attempt, done.done) == ("succeeded", "in time", 2, 0)


async def test_a_worker_notices_that_its_job_is_another_ones(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog
) -> None:
    """It stops the attempt, and the job stays with the other one."""
    stopped = asyncio.Event()

    async def it(jc: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start("one")
    await crew.status(made, "running")
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).values(owner="two/1", attempt=2))
    async with asyncio.timeout(20):
        await stopped.wait()
    await crew.stop("one")

    assert ((await crew.state(made)).status, (await crew.state(made)).attempt) == ("running", 2)


async def test_a_lease_is_renewed_as_long_as_the_job_runs(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock, catalog: Catalog
) -> None:
    """Minutes of work are one attempt, though another worker looks out for lost jobs."""
    free = asyncio.Event()

    async def it(jc: JobContext) -> int:
        await free.wait()
        return jc.attempt

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start("one")
    await crew.status(made, "running")
    crew.start("two")
    for _ in range(6):
        clock.advance(seconds=20)
        until_now = clock.now()

        async def renewed(moment: datetime = until_now) -> bool:
            async with catalog.read() as tx:
                lease = (await tx.execute(sa.select(rows.c.lease_until))).scalar()
            return lease == moment + timedelta(seconds=30)

        await until(renewed, "the lease was not renewed")
    free.set()

    assert (await crew.ended(made)).result == 1


async def test_a_worker_does_not_start_its_own_late_job_twice(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that blocks the process lets its lease run out; the process knows that it is still at it."""
    monkeypatch.setattr(attempt_module, "_RENEWALS", 1e-9)
    runs, free = 0, asyncio.Event()

    async def it(jc: JobContext) -> int:
        nonlocal runs
        runs += 1
        await free.wait()
        return jc.attempt

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    await crew.status(made, "running")
    clock.advance(minutes=5)
    await crew.idle_rounds()
    free.set()

    assert ((await crew.ended(made)).result, runs) == (1, 1)


async def test_a_worker_takes_its_earlier_life_s_jobs_back_at_once(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, clock: FrozenClock
) -> None:
    """By its name, without waiting for the lease; one whose name only begins alike does not."""

    async def it(jc: JobContext) -> int:
        return jc.attempt

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    async with catalog.write() as tx:
        await tx.execute(
            sa.update(rows).values(status="running", attempt=1, owner="embedded/1", lease_until=clock.now() + LATER)
        )
    crew.start("embed")
    await crew.idle_rounds()
    assert (await crew.state(made)).status == "running"
    crew.start("embedded")

    assert (await crew.ended(made)).result == 2


@pytest.mark.parametrize(("attempt", "cancelling", "ends", "code"), [(3, False, "failed", "worker_died"), (1, True, "cancelled", None)])  # fmt: skip
async def test_a_lost_job_is_not_started_again_when_it_should_not(
    crew: Crew, queue: Jobs, ctx: Context, catalog: Catalog, attempt: int, cancelling: bool, ends: str, code: str | None
) -> None:
    """Neither after its last attempt, nor when someone asked for it to stop before its worker died."""
    runs = 0

    async def it(jc: JobContext) -> None:
        nonlocal runs
        runs += 1

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    async with catalog.write() as tx:
        await tx.execute(
            sa.update(rows).values(status="running", attempt=attempt, owner="one/1", cancelling=cancelling)
        )
    crew.start("one")
    done = await crew.ended(made)

    assert (done.status, done.error.code if done.error else None, runs) == (ends, code, 0)
