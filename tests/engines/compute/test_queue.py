"""The queue: what is enqueued with a change is there exactly when the change is; lists, cancels and retries."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa

from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.model import STATUSES
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.pages import encode_cursor
from gimbal.testing.clock import FrozenClock


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers to add."""

    numbers: list[int]


@job("queue.sum", retries=2)
async def add_up(jc: JobContext, payload: Sum) -> int:
    return sum(payload.numbers)


@job("queue.other")
async def other(jc: JobContext, payload: dict[str, int]) -> None:
    return None


class Refused(Exception):
    """What the test breaks a transaction with."""


async def test_a_job_is_there_exactly_when_its_transaction_is(catalog: Catalog, queue: Jobs, ctx: Context) -> None:
    """Rolled back means no job; committed means queued, with everything that was said about it."""

    async def enqueue_and_break() -> None:
        async with catalog.write(ctx) as tx:
            await queue.enqueue_in(tx, "default", ctx.principal, "queue.sum", Sum(numbers=[1]))
            raise Refused

    with pytest.raises(Refused):
        await enqueue_and_break()
    assert (await queue.page(ctx)).items == []

    async with catalog.write(ctx) as tx:
        made = await queue.enqueue_in(tx, "default", ctx.principal, "queue.sum", Sum(numbers=[1, 2]))
    found = await queue.get(ctx, made.id)

    assert found == made
    assert (found.status, found.attempt, found.attempts, found.payload) == ("queued", 0, 3, {"numbers": [1, 2]})
    assert found.created_by == "local owner"


async def test_the_same_key_is_the_same_job(queue: Jobs, ctx: Context) -> None:
    """Also when eight ask at once; another kind of job or another project has keys of its own."""
    at_once = await asyncio.gather(*(queue.enqueue(ctx, "queue.sum", Sum(numbers=[n]), key="k") for n in range(8)))
    again = await queue.enqueue(ctx, "queue.sum", Sum(numbers=[99]), key="k")
    elsewhere = Context(ctx.services, ctx.principal, "flights")

    assert len({made.id for made in at_once}) == 1
    assert again == at_once[0]
    assert (await queue.enqueue(ctx, "queue.other", {}, key="k")).id != again.id
    assert (await queue.enqueue(elsewhere, "queue.sum", Sum(numbers=[]), key="k")).id != again.id
    assert (await queue.enqueue(ctx, "queue.sum", Sum(numbers=[]))).id != (await queue.enqueue(
        ctx, "queue.sum", Sum(numbers=[])
    )).id  # fmt: skip


async def test_a_kind_that_nobody_declared_is_refused(queue: Jobs, ctx: Context) -> None:
    """With the kinds that there are, and without a job."""
    with pytest.raises(NotFound, match=r"'queue\.nothing'") as caught:
        await queue.enqueue(ctx, "queue.nothing", {})

    assert "queue.sum" in caught.value.todo
    assert (await queue.page(ctx)).items == []


async def test_jobs_are_of_their_project(queue: Jobs, ctx: Context) -> None:
    """Another project neither sees nor touches them."""
    made = await queue.enqueue(ctx, "queue.sum", Sum(numbers=[]))
    elsewhere = Context(ctx.services, ctx.principal, "flights")

    assert (await queue.page(elsewhere)).items == []
    for touch in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(NotFound) as caught:
            await touch(elsewhere, made.id)
        assert caught.value.where == "id"
    assert (await queue.get(ctx, made.id)) == made


async def test_pages_hold_every_job_once_newest_first(queue: Jobs, ctx: Context) -> None:
    """Page after page by the cursor, also while new ones come; filters hold across pages."""
    made = [await queue.enqueue(ctx, "queue.sum" if n % 2 else "queue.other", {"n": n}) for n in range(7)]
    seen, cursor = [], None
    while True:
        page = await queue.page(ctx, cursor=cursor, limit=3)
        seen += page.items
        await queue.enqueue(ctx, "queue.other", {"late": 1})
        cursor = page.next
        if cursor is None:
            break

    assert [row.id for row in seen] == [row.id for row in reversed(made)]
    sums = await queue.page(ctx, name="queue.sum", limit=3)
    assert [row.id for row in sums.items] == [made[5].id, made[3].id, made[1].id]
    assert sums.next is None
    await queue.cancel(ctx, made[0].id)
    assert [row.id for row in (await queue.page(ctx, status="cancelled")).items] == [made[0].id]


@pytest.mark.parametrize(
    "cursor",
    ["x", "%%%", encode_cursor({}), encode_cursor({"id": 7}), encode_cursor({"id": None}), encode_cursor({"id": ["a"]}),
     encode_cursor({"id": "\0"}), encode_cursor({"at": "2026"}), "W10", "bnVsbA"],
)  # fmt: skip
async def test_a_forged_cursor_is_refused(queue: Jobs, ctx: Context, cursor: str) -> None:
    """Rather than answered with an empty page, which reads like the end of the list."""
    with pytest.raises(BadInput) as caught:
        await queue.page(ctx, cursor=cursor)

    assert caught.value.where == "cursor"


async def test_a_list_is_asked_for_with_sense(queue: Jobs, ctx: Context) -> None:
    """A status that jobs do not have, and sizes that pages do not have, are named."""
    with pytest.raises(BadInput) as caught:
        await queue.page(ctx, status="running ")
    assert caught.value.where == "status"
    assert all(status in caught.value.todo for status in STATUSES)
    for limit in (0, -1, 1001):
        with pytest.raises(BadInput) as caught:
            await queue.page(ctx, limit=limit)
        assert caught.value.where == "limit"


async def test_a_waiting_job_is_cancelled_at_once(queue: Jobs, ctx: Context, clock: FrozenClock) -> None:
    """It ends then and there, is not cancelled twice, and can be tried again."""
    made = await queue.enqueue(ctx, "queue.sum", Sum(numbers=[1]))
    clock.advance(seconds=5)
    cancelled = await queue.cancel(ctx, made.id)

    assert (cancelled.status, cancelled.finished_at) == ("cancelled", clock.now())
    with pytest.raises(Conflict, match="cancelled already"):
        await queue.cancel(ctx, made.id)
    clock.advance(seconds=5)
    again = await queue.retry(ctx, made.id)
    assert (again.status, again.finished_at, again.cancelling) == ("queued", None, False)
    assert again.run_after == clock.now()


@pytest.mark.parametrize("status", ["queued", "running", "parked", "succeeded"])
async def test_only_what_did_not_succeed_is_tried_again(
    catalog: Catalog, queue: Jobs, ctx: Context, status: str
) -> None:
    """A job that waits, works or has succeeded stays as it is, and the answer says which of these."""
    made = await queue.enqueue(ctx, "queue.sum", Sum(numbers=[1]))
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).values(status=status, attempt=2))

    with pytest.raises(Conflict, match=status):
        await queue.retry(ctx, made.id)
    assert (await queue.get(ctx, made.id)).attempt == 2


async def test_of_many_who_retry_at_once_one_does(catalog: Catalog, queue: Jobs, ctx: Context) -> None:
    """The others are told that it waits already."""
    made = await queue.enqueue(ctx, "queue.sum", Sum(numbers=[1]))
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).values(status="failed"))

    answers = await asyncio.gather(*(queue.retry(ctx, made.id) for _ in range(5)), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 4 + ["Job"]
