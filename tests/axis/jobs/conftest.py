"""Jobs and schedules over the stores of an installation, with one job in each state."""

import msgspec
import pytest
import sqlalchemy as sa
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.jobs.operations
import gimbal.axis.jobs.pages  # noqa: F401 - fill the tables
from gimbal.engines.compute.jobs import JobContext, Jobs, job
from gimbal.engines.compute.model import STATUSES, Job, JobError
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.compute.store import jobs as rows
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services
from gimbal.testing.clock import FrozenClock


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of these tests are given."""

    at: str = "flights"


@job("axis-jobs.look", retries=2)
async def look(jc: JobContext, payload: Look) -> None:
    return None


@pytest.fixture
def queue(axis: Services, catalog: Catalog, clock: FrozenClock) -> Jobs:
    """Give the queue of an installation, with the schedules beside it."""
    found = Jobs(catalog, clock)
    axis.register(Jobs, found)
    axis.register(Schedules, Schedules(catalog, clock, found))
    return found


@pytest.fixture
async def one_of_each(queue: Jobs, ctx: Context, catalog: Catalog, clock: FrozenClock) -> dict[str, Job]:
    """Enqueue a job and bring it into each state, as a worker would."""
    error = JobError(code="upstream", message="The provider <b>refused</b>.", todo="Look at its status page.")
    found: dict[str, Job] = {}
    for status in STATUSES:
        made = await queue.enqueue(ctx, "axis-jobs.look", Look(at=f"at {status}"))
        values: dict[str, object] = {"status": status}
        if status in {"running", "parked"}:
            values |= {"started_at": clock.now(), "attempt": 1, "done": 20, "total": 80, "message": "examples"}
        if status == "succeeded":
            values |= {"result": {"auc": 0.75}, "finished_at": clock.now()}
        if status == "failed":
            values |= {"error": error, "attempt": 3, "finished_at": clock.now()}
        async with catalog.write() as tx:
            await tx.execute(sa.update(rows).where(rows.c.id == made.id).values(values))
        found[status] = await queue.get(ctx, made.id)
        clock.advance(seconds=1)
    return found
