"""Jobs that are cancelled and workers that stop: what is short is finished, the rest is parked or ends."""

import asyncio
from collections import Counter

from tests.engines.compute.conftest import Crew, until
from tests.engines.compute.doing import BODIES, Do

from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.kernel.context import Context
from gimbal.testing.clock import FrozenClock


async def test_a_running_job_is_cancelled(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """Its own clearing up runs; tried again it does run to its end, and does not repeat its step."""
    cleared, started = asyncio.Event(), asyncio.Event()

    async def it(jc: JobContext) -> str:
        async def first() -> str:
            assert not started.is_set()
            return "kept"

        kept = await jc.step("first", first)
        if not started.is_set():
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleared.set()
        return kept

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    await started.wait()
    asked = await queue.cancel(ctx, made.id)
    assert (asked.status, asked.cancelling) == ("running", True)
    done = await crew.ended(made)

    assert (done.status, done.error) == ("cancelled", None)
    assert cleared.is_set()
    await queue.retry(ctx, made.id)
    again = await crew.ended(made)
    assert (again.status, again.result) == ("succeeded", "kept")


async def test_cancelling_wins_over_trying_again(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """A job that fails because it was asked to stop is cancelled, not put off."""
    started = asyncio.Event()

    async def it(jc: JobContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError from None

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    await started.wait()
    await queue.cancel(ctx, made.id)

    assert (await crew.ended(made)).status == "cancelled"


async def test_a_job_that_cancels_itself_does_not_go_round_for_ever(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock
) -> None:
    """Nobody asked for it, so it counts as failed, attempt by attempt."""
    tries = 0

    async def it(jc: JobContext) -> None:
        nonlocal tries
        tries += 1
        clock.advance(seconds=60)
        raise asyncio.CancelledError

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()

    async def over() -> bool:
        clock.advance(seconds=60)
        return (await crew.state(made)).status not in {"queued", "running", "parked"}

    await until(over, "it goes on for ever")
    done = await crew.state(made)
    assert (done.status, done.attempt, tries) == ("failed", 3, 3)
    assert "cancelled itself" in (done.error.message if done.error else "")


async def test_a_stopping_worker_finishes_what_is_short_and_parks_the_rest(
    crew: Crew, queue: Jobs, ctx: Context
) -> None:
    """What was parked goes on at the next start from its checkpoint, and has not lost an attempt."""
    steps: Counter[str] = Counter()
    free = asyncio.Event()

    async def long(jc: JobContext) -> str:
        async def first() -> str:
            steps["first"] += 1
            return "first"

        await jc.step("first", first)
        steps["reached"] += 1
        await free.wait()
        return f"attempt {jc.attempt}"

    async def short(jc: JobContext) -> str:
        steps["short"] += 1
        await stopping.wait()
        return "in time"

    stopping = asyncio.Event()
    BODIES.update(long=long, short=short)
    one = await queue.enqueue(ctx, "worker.once", Do(body="long"))
    two = await queue.enqueue(ctx, "worker.once", Do(body="short"))
    waiting = await queue.enqueue(ctx, "worker.once", Do(body="long"))
    crew.start(grace_s=1.5)

    async def under_way() -> bool:
        return steps["reached"] == 1 and steps["short"] == 1

    await until(under_way, "they do not run")
    stop = asyncio.create_task(crew.stop())

    async def told() -> bool:
        return crew.workers["one"]._stopping

    await until(told, "the worker does not stop")
    stopping.set()
    await stop

    parked = await crew.state(one)
    assert (parked.status, parked.attempt, parked.message) == ("parked", 1, "parked at shutdown")
    assert ((await crew.state(two)).status, (await crew.state(two)).result) == ("succeeded", "in time")
    assert ((await crew.state(waiting)).status, (await crew.state(waiting)).attempt) == ("queued", 0)
    free.set()
    crew.start("another")
    done = await crew.ended(one)
    assert (done.status, done.result) == ("succeeded", "attempt 1")
    await crew.ended(waiting)
    assert steps["first"] == 2  # once for each of the two jobs


async def test_a_parked_job_can_be_cancelled(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """It ends at once, and no later start brings it back."""
    runs = 0

    async def it(jc: JobContext) -> None:
        nonlocal runs
        runs += 1
        await asyncio.Event().wait()

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    await crew.status(made, "running")
    await crew.stop()
    assert (await queue.cancel(ctx, made.id)).status == "cancelled"
    crew.start()
    await crew.idle_rounds()

    assert (runs, (await crew.state(made)).status) == (1, "cancelled")
