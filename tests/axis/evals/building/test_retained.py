"""What jobs of suites from traces keep of people goes with their traces, and with the term of what was said; counts stay."""

import msgspec
import pytest
from tests.axis.evals.building.conftest import Build, asked, begun, keep
from tests.axis.evals.working import ended, working
from tests.axis.retention.stored import erase

import gimbal.axis.evals.building.retained
import gimbal.axis.retention.work  # noqa: F401 - declare what is kept, and the job
from gimbal.axis.evals.building.model import RunFromTraces
from gimbal.axis.retention.kept import KeptTexts
from gimbal.axis.retention.model import EraseUser
from gimbal.axis.retention.service import Retaining
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Services


@pytest.fixture
def retaining(build: Build, services: Services) -> Retaining:
    """Give retention over the same stores."""
    clock = SystemClock()
    found = Retaining(services.get(Catalog), services.get(Columns), services.get(Blobs), clock, grace_s=0, disk_s=0)
    services.register(Retaining, found)
    return found


async def drawn(here: Context, **said: object) -> Job:
    """Return a job that has drawn."""
    async with working(here.services):
        job = await ended(here, (await begun(here, **said)).job_id)
    assert job.status == "succeeded", job.error
    return job


async def now(here: Context, job: Job) -> Job:
    return await here.get(Jobs).get(here, job.id)


async def test_samples_and_names_go_with_the_person(build: Build, retaining: Retaining, here: Context) -> None:
    await keep(here, asked(1, user_id="ann"), asked(2, user_id="bob"))
    hers = await drawn(here, dry_run=True, user="ann", attribute=[])
    his = await drawn(here, dry_run=True, user="bob")
    assert len(hers.result["samples"]) == 1

    planned = await retaining.erase(here, EraseUser(user="ann", reason="a request", dry_run=True))
    await erase(here, "ann")

    assert planned.counts is not None
    assert planned.counts.rows["suite_draws"] == 1
    after = await now(here, hers)
    assert "ann" not in msgspec.json.encode([after.payload, after.result]).decode()
    assert (after.result["samples"], after.result["examples"], after.result["read"]) == ([], 1, 1)
    assert await now(here, his) == his


async def test_samples_go_with_the_term_of_what_was_said(build: Build, retaining: Retaining, here: Context) -> None:
    """Not before; what is left of the question can be read, and finds nobody."""
    await keep(here, asked(1, user_id="ann", session_id="s", attributes={"tenant": "acme"}, tags=["team:x"]))
    named = {"user": "ann", "session": "s", "search": "apples", "attribute": ["tenant:acme"], "tag": ["team:x"]}
    job = await drawn(here, dry_run=True, **named)
    kept = KeptTexts(here.get(Catalog), here.get(Columns))
    assert job.finished_at is not None

    await kept.expire(str(here.project), "content", job.finished_at)
    await kept.expire(str(here.project), "eval_results", SystemClock().now())
    assert await now(here, job) == job
    await kept.expire(str(here.project), "content", SystemClock().now())

    after = await now(here, job)
    assert after.result["samples"] == []
    body = msgspec.convert(after.payload, RunFromTraces).body
    assert not {"ann", "s", "apples", "tenant:acme", "team:x"} & {
        body.user, body.session, body.search, *body.attribute, *body.tag
    }  # fmt: skip
    said = {name: getattr(body, name) for name in named}
    assert (await build(dry_run=True, **said)).looked_at == 0
