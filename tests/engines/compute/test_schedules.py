"""Schedules: each moment once, whoever looks; what passed while nothing ran is made up for once and counted."""

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.compute.conftest import Crew, until

from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.schedules import Schedules, next_time
from gimbal.engines.compute.store import schedules as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.testing.clock import FrozenClock

START = datetime(2026, 1, 1, tzinfo=UTC)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduled job is given."""

    at: str = "flights"


@job("schedules.look")
async def look(jc: JobContext, payload: Look) -> str:
    return f"{payload.at} for {jc.principal.name} in {jc.project}"


@job("schedules.other")
async def other(jc: JobContext, payload: Look) -> None:
    return None


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 6 * * *", START, "2026-01-01T06:00"),
        ("0 6 * * *", datetime(2026, 1, 1, 6, tzinfo=UTC), "2026-01-02T06:00"),
        ("*/15 * * * *", START + timedelta(minutes=15, microseconds=1), "2026-01-01T00:30"),
        ("0 0 29 2 *", START, "2028-02-29T00:00"),
        ("30 2 * * mon-fri", datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-05T02:30"),
        ("0 0 31 * *", datetime(2026, 1, 31, tzinfo=UTC), "2026-03-31T00:00"),
    ],
)
def test_the_next_moment_of_a_rule(cron: str, after: datetime, expected: str) -> None:
    """Strictly after the given one, in UTC."""
    assert next_time(cron, after) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.fixture
def new_york() -> Iterator[None]:
    """Let this machine stand in New York, where clocks are moved in March and November."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("day", [datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC)])
def test_no_hour_comes_twice_or_never(day: datetime) -> None:
    """Rules are in UTC wherever the machine stands: 02:30 comes every 24 hours when clocks are moved, too."""
    moments = [day]
    for _ in range(4):
        moments.append(next_time("30 2 * * *", moments[-1]))

    assert moments[1:] == [day + timedelta(days=n, hours=2, minutes=30) for n in range(4)]
    assert next_time("0 * * * *", day + timedelta(hours=30, minutes=1)) == day + timedelta(hours=31)


BAD = ["", "  ", "* * * *", "* * * * * *", "@daily", "60 * * * *", "* 24 * * *", "0 0 30 2 *", "*/0 * * * *", "a b c d e",
       "R R * * *", "H 6 * * *", "-1 * * * *", "\0 * * * *", "\u0660 \u0660 * * *", "0," * 500 + "0 * * * *", "0 0 * 13 *"]  # fmt: skip


@pytest.mark.parametrize("cron", BAD)
def test_a_rule_that_cannot_be_read_is_refused(cron: str) -> None:
    """So is one with seconds, one that is drawn by chance, and one that never comes."""
    with pytest.raises(BadInput, match="is not a schedule") as caught:
        next_time(cron, START)

    assert caught.value.where == "cron"
    assert "five fields" in caught.value.todo
    assert len(caught.value.message) < 500


@given(
    st.one_of(st.text(max_size=30), st.from_regex(r"[0-9*/,LWRH#?-]{1,6}( [0-9*/,LWa-z#?-]{1,6}){4}", fullmatch=True))
)
def test_any_text_is_a_rule_or_is_refused(cron: str) -> None:
    """A moment in the future, or BadInput; nothing else."""
    try:
        found = next_time(cron, START)
    except BadInput:
        return
    assert found > START
    assert found.utcoffset() == timedelta(0)


async def test_a_schedule_is_set_shown_and_removed(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs
) -> None:
    """Setting it again replaces it; it is of its project; who removes what is not there is told."""
    made = await schedules.set(ctx, "daily", cron="0 6 * * *", job="schedules.look", payload=Look(at="a"))
    assert (made.next_at, made.last_at, made.missed, made.payload) == (START + timedelta(hours=6), None, 0, {"at": "a"})
    await schedules.set(ctx, "another", cron="0 7 * * *", job="schedules.look", payload={})
    again = await schedules.set(ctx, "daily", cron="0 8 * * *", job="schedules.other", payload={}, enabled=False)

    elsewhere = Context(ctx.services, ctx.principal, "flights")
    assert await schedules.all(elsewhere) == []
    assert [row.slug for row in await schedules.all(ctx)] == ["another", "daily"]
    assert (await schedules.all(ctx))[1] == again
    assert (again.cron, again.job, again.enabled) == ("0 8 * * *", "schedules.other", False)
    with pytest.raises(NotFound):
        await schedules.remove(elsewhere, "daily")
    await schedules.remove(ctx, "daily")
    with pytest.raises(NotFound, match="daily"):
        await schedules.remove(ctx, "daily")
    assert [row.slug for row in await schedules.all(ctx)] == ["another"]


async def test_many_who_set_one_schedule_at_once_leave_one(schedules: Schedules, ctx: Context) -> None:
    """Of those given, the last to come."""
    crons = [f"{minute} * * * *" for minute in range(6)]
    await asyncio.gather(*(schedules.set(ctx, "one", cron=cron, job="schedules.look", payload={}) for cron in crons))

    (found,) = await schedules.all(ctx)
    assert found.cron in crons
    assert found.next_at == next_time(found.cron, START)


@pytest.mark.parametrize(
    ("given", "error", "where"),
    [
        ({"cron": "* * * *"}, BadInput, "cron"),
        ({"payload": {"at": 7}}, BadInput, "payload"),
        ({"slug": "Not a slug"}, BadInput, None),
        ({"job": "schedules.nothing"}, NotFound, None),
    ],
)
async def test_a_schedule_that_could_never_run_is_refused(
    schedules: Schedules, ctx: Context, given: dict[str, object], error: type[Exception], where: str | None
) -> None:
    """When it is set, not at night when nobody looks; nothing of it is stored."""
    whole = {"slug": "x", "cron": "* * * * *", "job": "schedules.look", "payload": {}} | given
    with pytest.raises(error) as caught:
        await schedules.set(ctx, **whole)  # pyright: ignore[reportArgumentType]

    if where:
        assert caught.value.where == where  # pyright: ignore[reportAttributeAccessIssue]
    assert await schedules.all(ctx) == []


async def test_it_fires_when_it_is_due_and_not_before(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs
) -> None:
    """Once for each moment; a schedule that is switched off never."""
    await schedules.set(ctx, "daily", cron="0 6 * * *", job="schedules.look", payload={})
    await schedules.set(ctx, "off", cron="0 6 * * *", job="schedules.look", payload={}, enabled=False)
    clock.move_to(START + timedelta(hours=6) - timedelta(microseconds=1))
    assert await schedules.fire_due() == 0
    clock.move_to(START + timedelta(hours=6))
    assert await schedules.fire_due() == 1
    assert await schedules.fire_due() == 0

    (made,) = (await queue.page(ctx)).items
    daily = (await schedules.all(ctx))[0]
    assert (made.name, made.created_by, made.status) == ("schedules.look", "local owner", "queued")
    assert (daily.last_at, daily.last_job_id, daily.missed) == (clock.now(), made.id, 0)
    assert daily.next_at == START + timedelta(days=1, hours=6)
    clock.move_to(daily.next_at)
    assert await schedules.fire_due() == 1
    assert len((await queue.page(ctx)).items) == 2


async def test_two_workers_fire_a_moment_once(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs
) -> None:
    """Eight look at the same time at three schedules that are due."""
    for slug in ("a", "b", "c"):
        await schedules.set(ctx, slug, cron="0 * * * *", job="schedules.look", payload={})
    clock.advance(hours=1)
    fired = await asyncio.gather(*(schedules.fire_due() for _ in range(8)))

    assert sum(fired) == 3
    assert len((await queue.page(ctx)).items) == 3


async def test_what_passed_while_nothing_ran_is_made_up_for_once(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs
) -> None:
    """Five hours and a half without a worker: one job, four moments are counted as missed, and the next one is ahead."""
    await schedules.set(ctx, "hourly", cron="0 * * * *", job="schedules.look", payload={})
    clock.advance(hours=5, minutes=30)
    assert await schedules.fire_due() == 1

    (row,) = await schedules.all(ctx)
    assert (row.missed, row.next_at) == (4, START + timedelta(hours=6))
    clock.move_to(row.next_at)
    await schedules.fire_due()
    assert (await schedules.all(ctx))[0].missed == 4
    assert len((await queue.page(ctx)).items) == 2


async def test_a_year_without_a_worker_is_made_up_for_once_and_soon(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs
) -> None:
    """A rule of every minute does not count half a million moments before the first job starts."""
    await schedules.set(ctx, "each", cron="* * * * *", job="schedules.look", payload={})
    clock.advance(days=365)
    assert await schedules.fire_due() == 1

    (row,) = await schedules.all(ctx)
    assert (row.missed, row.next_at) == (1000, clock.now() + timedelta(minutes=1))


async def test_a_clock_that_steps_back_fires_nothing_twice(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs, catalog: Catalog
) -> None:
    """The moment that was fired is ahead again, but its job is there already."""
    await schedules.set(ctx, "daily", cron="0 6 * * *", job="schedules.look", payload={})
    clock.advance(hours=6)
    await schedules.fire_due()
    clock.advance(minutes=-10)
    await schedules.set(ctx, "daily", cron="0 6 * * *", job="schedules.look", payload={})
    clock.advance(minutes=10)
    await schedules.fire_due()

    assert len((await queue.page(ctx)).items) == 1


async def test_a_schedule_of_a_job_that_is_gone_holds_nothing_up(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs, catalog: Catalog, crew: Crew
) -> None:
    """It is passed over and counted; other schedules fire and the queue goes on."""
    await schedules.set(ctx, "gone", cron="0 * * * *", job="schedules.other", payload={})
    await schedules.set(ctx, "kept", cron="0 * * * *", job="schedules.look", payload={})
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).where(rows.c.slug == "gone").values(job="schedules.gone"))
    clock.advance(hours=2)
    waiting = await queue.enqueue(ctx, "schedules.look", Look(at="waiting"))
    crew.start()

    assert (await crew.ended(waiting)).status == "succeeded"

    async def fired() -> bool:
        return (await schedules.all(ctx))[1].last_job_id is not None

    await until(fired, "the other schedule did not fire")
    gone, kept = await schedules.all(ctx)
    assert (gone.missed, gone.last_job_id, gone.next_at) == (2, None, START + timedelta(hours=3))
    assert (kept.missed, kept.next_at) == (1, START + timedelta(hours=3))


async def test_a_scheduled_job_runs_as_who_set_it(
    schedules: Schedules, ctx: Context, clock: FrozenClock, queue: Jobs, crew: Crew
) -> None:
    """With the name and in the project of then, by whichever worker."""
    asker = Principal(kind="key", id="k", name="nightly", roles={"flights": Role.DEVELOPER})
    there = Context(ctx.services, asker, "flights")
    await schedules.set(there, "hourly", cron="0 * * * *", job="schedules.look", payload=Look(at="delays"))
    clock.advance(hours=1)
    crew.ctx = there
    for name in ("one", "two"):
        crew.start(name)

    async def there_is_one() -> bool:
        return bool((await queue.page(there)).items)

    await until(there_is_one, "nothing was fired")
    (made,) = (await queue.page(there)).items
    assert (await crew.ended(made)).result == "delays for nightly in flights"
    assert len((await queue.page(there)).items) == 1
