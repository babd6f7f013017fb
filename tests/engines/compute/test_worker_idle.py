"""A worker that has nothing to do asks the catalog nothing, and misses no job for it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.engines.compute.conftest import Crew, until
from tests.engines.compute.doing import BODIES, Do
from tests.sqlite import catalog_address

from gimbal.engines.compute.jobs import JobContext, Jobs
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.testing.clock import FrozenClock

__all__ = ["catalog_address"]


@pytest.fixture
def reads(catalog: Catalog) -> Callable[[], int]:
    """Tell how many statements that read jobs were executed."""
    count = 0

    @event.listens_for(catalog._reader.sync_engine, "before_cursor_execute")
    def _note(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal count
        count += "FROM jobs" in statement

    return lambda: count


async def quiet(reads: Callable[[], int]) -> None:
    """Wait until nothing is read any more."""
    before = -1

    async def same() -> bool:
        nonlocal before
        now, before = before, reads()
        await asyncio.sleep(0.1)  # ten looks
        return now == before == reads()

    await until(same, "an idle worker went on reading")


async def nothing(jc: JobContext) -> None:
    """Do nothing."""


async def test_an_idle_worker_reads_nothing_until_somebody_commits(
    crew: Crew, queue: Jobs, ctx: Context, reads: Callable[[], int], catalog: Catalog
) -> None:
    BODIES["it"] = nothing
    crew.start()
    await quiet(reads)
    before = reads()
    await asyncio.sleep(0.3)
    assert reads() == before

    await crew.ended(await queue.enqueue(ctx, "worker.do", Do()))
    await quiet(reads)
    # As another process would put one there.
    made = await queue.enqueue(ctx, "worker.do", Do())
    assert (await crew.ended(made)).status == "succeeded"


async def test_what_becomes_due_by_time_alone_begins(
    crew: Crew, queue: Jobs, ctx: Context, reads: Callable[[], int], catalog: Catalog, clock: FrozenClock
) -> None:
    """A pause that ends, and a lease that runs out: nobody commits anything then."""
    BODIES["it"] = nothing
    later, lost = [await queue.enqueue(ctx, "worker.do", Do()) for _ in range(2)]
    soon, sooner = clock.now() + timedelta(seconds=7), clock.now() + timedelta(seconds=3)
    async with catalog.write() as tx:
        await tx.execute(sa.update(rows).where(rows.c.id == later.id).values(run_after=soon))
        gone = {"status": "running", "owner": "another/1", "lease_until": sooner, "attempt": 1}
        await tx.execute(sa.update(rows).where(rows.c.id == lost.id).values(**gone))
    crew.start()
    await quiet(reads)
    clock.advance(seconds=2)
    await quiet(reads)
    assert [(await crew.state(one)).status for one in (later, lost)] == ["queued", "running"]
    clock.advance(seconds=2)
    assert (await crew.ended(lost)).status == "succeeded"
    clock.advance(seconds=4)
    assert (await crew.ended(later)).status == "succeeded"


async def test_it_looks_now_and_then_in_any_case(crew: Crew, reads: Callable[[], int], clock: FrozenClock) -> None:
    crew.start()
    await quiet(reads)
    before = reads()
    clock.advance(seconds=11)

    async def looked() -> bool:
        return reads() > before

    await until(looked, "it did not look")
