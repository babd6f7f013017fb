"""The worker: attempts and their pauses, what a job says of itself, checkpoints, and sharing a queue."""

import asyncio
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.engines.compute.conftest import Crew, until
from tests.engines.compute.doing import BODIES, Do

from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.engines.compute.store import job_steps
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import Busy, Unprocessable
from gimbal.testing.clock import FrozenClock


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
        waiting = await crew.failed_once(made, attempt)
        assert waiting.run_after == clock.now() + timedelta(seconds=pause)
        assert (waiting.message, waiting.error and waiting.error.message) == (
            f"attempt {attempt} failed", f"no luck {attempt}",
        )  # fmt: skip
        clock.advance(seconds=pause - 0.001)
        await crew.idle_rounds()
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

    assert (await crew.failed_once(made, 1)).run_after == clock.now() + timedelta(seconds=300)


async def test_a_kind_that_this_gimbal_no_longer_has_is_named(
    catalog: Catalog, crew: Crew, queue: Jobs, ctx: Context
) -> None:
    """The job fails and says what it was; those behind it run."""
    made = await queue.enqueue(ctx, "worker.do", Do())
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).values(name="worker.gone"))
    crew.start()
    await crew.idle_rounds()
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
        await crew.failed_once(made, attempt)
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
