"""The worker: attempts and their pauses, checkpoints, cancelling, parking, and leases that have run out."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.engines.compute.conftest import Crew, until

import gimbal.engines.compute.worker as worker_module
from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.store import job_steps
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import Busy, Unprocessable
from gimbal.testing.clock import FrozenClock

Body = Callable[[JobContext], Coroutine[Any, Any, Any]]
BODIES: dict[str, Body] = {}
"""What the jobs of the running test do, by the name in their payload."""
LATER = timedelta(days=1)


class Do(msgspec.Struct, frozen=True, kw_only=True):
    """Which body a job runs."""

    body: str = "it"


@job("worker.do", retries=2, retry_delay_s=10)
async def do(jc: JobContext, payload: Do) -> Any:
    return await BODIES[payload.body](jc)


@job("worker.once")
async def once(jc: JobContext, payload: Do) -> Any:
    return await BODIES[payload.body](jc)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BODIES.clear()


async def test_a_job_runs_as_who_asked_and_tells_how_far_it_is(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock
) -> None:
    """Progress is seen while it runs; counts may be bytes of a large file, and texts come from anywhere."""
    go = asyncio.Event()

    async def it(jc: JobContext) -> dict[str, Any]:
        await jc.progress(3 * 2**31, 4 * 2**31, "bytes\0 of a file")
        await go.wait()
        inner = jc.context()
        return {"who": inner.principal.name, "project": inner.project, "origin": inner.origin, "at": clock.now()}

    BODIES["it"] = it
    asker = Principal(kind="key", id="k1", name="nightly", roles={"flights": Role.DEVELOPER})
    made = await queue.enqueue(Context(ctx.services, asker, "flights"), "worker.do", Do())
    crew.ctx = Context(ctx.services, asker, "flights")
    crew.start()

    async def told() -> bool:
        return (await crew.state(made)).total > 0

    await until(told, "no progress was shown")
    now = await crew.state(made)
    assert (now.status, now.done, now.total, now.message) == ("running", 3 * 2**31, 4 * 2**31, "bytes of a file")
    assert (now.attempt, now.started_at) == (1, clock.now())
    clock.advance(seconds=7)
    go.set()
    done = await crew.ended(made)

    assert done.result == {
        "who": "nightly", "project": "flights", "origin": "job", "at": "2026-01-01T00:00:07Z",
    }  # fmt: skip
    assert (done.status, done.error, done.finished_at) == ("succeeded", None, clock.now())


async def test_a_failed_attempt_is_repeated_after_twice_the_pause(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock
) -> None:
    """Ten seconds, then twenty; the last failure is what the job says. Tried again, it starts from the beginning."""
    tries: list[datetime] = []

    async def it(jc: JobContext) -> None:
        tries.append(clock.now())
        message = f"no luck {jc.attempt}"
        raise ArithmeticError(message)

    BODIES["it"] = it
    start = clock.now()
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    for attempt, pause in ((1, 10), (2, 20)):
        waiting = await _failed_once(crew, made, attempt)
        assert waiting.run_after == clock.now() + timedelta(seconds=pause)
        assert (waiting.message, waiting.error and waiting.error.message) == (
            f"attempt {attempt} failed", f"no luck {attempt}",
        )  # fmt: skip
        clock.advance(seconds=pause - 0.001)
        await _idle_rounds(crew, queue, ctx)
        assert len(tries) == attempt
        clock.advance(seconds=0.001)
    done = await crew.ended(made)

    assert [(at - start).total_seconds() for at in tries] == [0, 10, 30]
    assert (done.status, done.attempt) == ("failed", 3)
    assert done.error is not None
    assert (done.error.code, done.error.message) == ("ArithmeticError", "no luck 3")
    assert "log" in done.error.todo

    async def better(jc: JobContext) -> int:
        return jc.attempt

    BODIES["it"] = better
    await queue.retry(ctx, made.id)
    again = await crew.ended(made)
    assert (again.status, again.result, again.error) == ("succeeded", 1, None)


async def _failed_once(crew: Crew, made: Any, attempt: int) -> Any:
    async def failed() -> bool:
        row = await crew.state(made)
        return row.status == "queued" and row.attempt == attempt

    await until(failed, f"attempt {attempt} did not fail")
    return await crew.state(made)


async def _idle_rounds(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """Let the workers look at the queue: a job that is enqueued now is done, so what was due earlier was seen."""

    async def nothing(jc: JobContext) -> None:
        return None

    BODIES["idle"] = nothing
    await crew.ended(await queue.enqueue(ctx, "worker.do", Do(body="idle")))


async def test_what_the_input_is_to_blame_for_is_not_repeated(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """A refusal ends the job at the first attempt, with its code and what to do; so does a payload of another shape."""

    async def it(jc: JobContext) -> None:
        raise Unprocessable("The suite has no examples.", where="suite", todo="Add some.")

    BODIES["it"] = it
    refused = await queue.enqueue(ctx, "worker.do", Do())
    misshapen = await queue.enqueue(ctx, "worker.do", {"body": 7})
    crew.start()
    done, bad = await crew.ended(refused), await crew.ended(misshapen)

    assert (done.status, done.attempt, done.error and done.error.code) == ("failed", 1, Unprocessable.code)
    assert done.error is not None
    assert (done.error.message, done.error.todo) == ("The suite has no examples.", "Add some.")
    assert (bad.status, bad.attempt, bad.error and bad.error.code) == ("failed", 1, "bad_input")
    assert bad.error is not None
    assert "$.body" in bad.error.message


@pytest.mark.parametrize("where", ["step", "result"])
async def test_a_result_that_is_no_json_is_the_job_s_failure(crew: Crew, queue: Jobs, ctx: Context, where: str) -> None:
    """It is told at once, and does not look as if the worker had died."""

    async def it(jc: JobContext) -> Any:
        async def odd() -> Any:
            return "\ud800"

        return await jc.step("odd", odd) if where == "step" else await odd()

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.once", Do())
    crew.start()
    done = await crew.ended(made)

    assert (done.status, done.error and done.error.code) == ("failed", "UnicodeEncodeError")


async def test_a_job_waits_as_long_as_it_is_told_to(crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock) -> None:
    """When what it needs is busy and says when to come again, that is the pause."""

    async def it(jc: JobContext) -> None:
        raise Busy("The provider is busy.", retry_after=300.0)

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()

    assert (await _failed_once(crew, made, 1)).run_after == clock.now() + timedelta(seconds=300)


async def test_a_kind_that_this_gimbal_no_longer_has_is_named(
    catalog: Catalog, crew: Crew, queue: Jobs, ctx: Context
) -> None:
    """The job fails and says what it was; those behind it run."""
    made = await queue.enqueue(ctx, "worker.do", Do())
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).values(name="worker.gone"))
    crew.start()
    await _idle_rounds(crew, queue, ctx)
    done = await crew.ended(made)

    assert (done.status, done.error and done.error.code) == ("failed", "not_found")
    assert "worker.gone" in (done.error.message if done.error else "")


async def test_a_step_that_was_done_is_not_done_again(
    catalog: Catalog, crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock
) -> None:
    """The repeated attempt gets what the first one got: the very same values, as JSON has them."""
    calls: Counter[str] = Counter()
    got: list[Any] = []
    odd = {"pair": (1, 2), "by number": {1: "a"}, "nan": math.nan, "at": datetime(2026, 1, 1, tzinfo=UTC)}

    async def it(jc: JobContext) -> list[Any]:
        async def value(name: str, found: Any) -> Any:
            calls[name] += 1
            return found

        got.append(
            [await jc.step("odd", lambda: value("odd", odd)), await jc.step("none", lambda: value("none", None))]
        )
        if jc.attempt < 3:
            raise OSError
        return [await jc.step("last", lambda: value("last", jc.attempt)), *got[-1]]

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.do", Do())
    crew.start()
    for attempt in (1, 2):
        await _failed_once(crew, made, attempt)
        clock.advance(seconds=20)
    done = await crew.ended(made)

    plain = {"pair": [1, 2], "by number": {"1": "a"}, "nan": None, "at": "2026-01-01T00:00:00Z"}
    assert calls == {"odd": 1, "none": 1, "last": 1}
    assert got == [[plain, None]] * 3
    assert done.result == [3, plain, None]
    async with catalog.read() as tx:
        assert (await tx.execute(sa.select(sa.func.count()).select_from(job_steps))).scalar() == 3


async def test_two_halves_of_a_job_that_ask_for_one_step_agree(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """Both get the result that was stored."""
    numbers = iter(range(10))

    async def it(jc: JobContext) -> list[int]:
        both = asyncio.Barrier(2)

        async def draw() -> int:
            await both.wait()
            return next(numbers)

        return list(await asyncio.gather(jc.step("draw", draw), jc.step("draw", draw)))

    BODIES["it"] = it
    made = await queue.enqueue(ctx, "worker.once", Do())
    crew.start()
    done = await crew.ended(made)

    assert done.status == "succeeded", done.error
    assert done.result[0] == done.result[1]


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
    await _idle_rounds(crew, queue, ctx)

    assert (runs, (await crew.state(made)).status) == (1, "cancelled")


@pytest.mark.parametrize("way", ["step", "result", "failure", "progress"])
async def test_a_worker_that_was_given_up_writes_nothing_any_more(
    crew: Crew, queue: Jobs, ctx: Context, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It stalls past its lease, another takes the job over, and whatever the first one says then is refused."""
    monkeypatch.setattr(worker_module, "_BEAT_S", 3600.0)
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
    monkeypatch.setattr(worker_module, "_BEATS_PER_RENEWAL", 10**9)
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
    await _idle_rounds(crew, queue, ctx)
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
    await _idle_rounds(crew, queue, ctx)
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


async def test_several_workers_share_a_queue(crew: Crew, queue: Jobs, ctx: Context) -> None:
    """Each job runs once, none is left, and no worker does more at a time than it may."""
    runs: Counter[str] = Counter()
    now: set[str] = set()
    most = 0

    async def it(jc: JobContext) -> None:
        nonlocal most
        runs[jc.job_id] += 1
        now.add(jc.job_id)
        most = max(most, len(now))
        await jc.progress(1, 1)
        now.discard(jc.job_id)

    BODIES["it"] = it
    made = [await queue.enqueue(ctx, "worker.once", Do()) for _ in range(20)]
    for name in ("one", "two"):
        crew.start(name, concurrency=2)
    ended = [await crew.ended(row) for row in made]

    assert {row.status for row in ended} == {"succeeded"}
    assert runs == dict.fromkeys((row.id for row in made), 1)
    assert 1 <= most <= 4
