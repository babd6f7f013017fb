"""What was asked for with a key does not outlive the key."""

from typing import Any

import pytest
from tests.engines.compute.conftest import Crew
from tests.engines.compute.doing import BODIES, Do

from gimbal.axis.projects.model import AddMember, CreateKey, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.engines.compute.jobs import JobContext, Jobs, Standing
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Permission, Role, Services
from gimbal.testing.clock import FrozenClock


@pytest.fixture
async def projects(catalog: Catalog, clock: FrozenClock, services: Services) -> Projects:
    """Give the projects, which also answer for who asks for jobs."""
    found = Projects(catalog, clock)
    await found.ensure_default()
    services.register(Standing, found)
    return found


@pytest.fixture
def ran() -> list[bool]:
    """Give a list to which the job adds whether it may still develop."""
    seen: list[bool] = []

    async def it(jc: JobContext) -> Any:
        seen.append(jc.principal.may(Permission.DEVELOP, jc.project))

    BODIES["it"] = it
    return seen


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_job_of_a_key_that_is_gone_does_not_run(
    crew: Crew, queue: Jobs, ctx: Context, projects: Projects, clock: FrozenClock, ran: list[bool], end: str
) -> None:
    """It fails at once and says why; with a key that works it runs."""
    issued = await projects.create_key(ctx, CreateKey(name="nightly", days=1), "default")
    asker = Context(ctx.services, await projects.authenticate(issued.secret), "default")
    before = await queue.enqueue(asker, "worker.do", Do())
    crew.start()
    assert (await crew.ended(before)).status == "succeeded"
    await crew.stop_all()

    after = await queue.enqueue(asker, "worker.do", Do())
    if end == "revoked":
        await projects.revoke_key(ctx, issued.key.id, "default")
    else:
        clock.advance(days=2)
    crew.start()
    done = await crew.ended(after)

    assert (done.status, done.attempt) == ("failed", 1)
    assert done.error is not None
    assert done.error.code == "not_authenticated"
    assert end in done.error.message
    assert ran == [True]


async def test_a_scheduled_job_has_the_role_that_its_member_has_now(
    crew: Crew, schedules: Schedules, ctx: Context, projects: Projects, clock: FrozenClock, ran: list[bool]
) -> None:
    """Who became a viewer develops no more, not even at night."""
    await projects.create_key(ctx, CreateKey(name="root", role=Role.ADMIN, everywhere=True), None)
    member = await projects.add_member(ctx, "default", AddMember(email="ada@example.org", role=Role.DEVELOPER))
    issued = await projects.create_key(ctx, CreateKey(name="ada", member=member.id), "default")
    asker = Context(ctx.services, await projects.authenticate(issued.secret), "default")
    await schedules.set(asker, "nightly", cron="0 3 * * *", job="worker.do", payload=Do())
    await projects.change_member(ctx, "default", member.id, Role.VIEWER)

    clock.advance(days=1)
    await schedules.fire_due()
    (job,) = (await crew.queue.page(ctx)).items
    crew.start()

    assert (await crew.ended(job)).status == "succeeded"
    assert ran == [False]


async def test_nothing_runs_in_an_archived_project(
    crew: Crew, queue: Jobs, ctx: Context, projects: Projects, ran: list[bool]
) -> None:
    """What waits when a project is archived fails and says so."""
    await projects.create(ctx.within(None), CreateProject(slug="old"))
    crew.ctx = ctx.within("old")
    job = await queue.enqueue(crew.ctx, "worker.do", Do())
    await projects.archive(ctx, "old", archived=True)
    crew.start()
    done = await crew.ended(job)

    assert done.error is not None
    assert "archived" in done.error.message
    assert ran == []
