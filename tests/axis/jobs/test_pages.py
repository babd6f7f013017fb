"""The pages of jobs and schedules, served by the real application: full, empty, filtered, and their buttons."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.served import serve

from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import STATUSES, Job
from gimbal.engines.compute.schedules import Schedules
from gimbal.kernel.context import Context, Services
from gimbal.testing.clock import FrozenClock

# A browser sends a form without fields as an empty form.
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def console(queue: Jobs, services: Services, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the console; give a client at the project's pages."""
    async with (
        serve(services, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=f"{url}/p/default", follow_redirects=True, headers=FORM) as client,
    ):
        yield client


async def test_an_empty_list_says_what_to_do(console: httpx.AsyncClient) -> None:
    """With a command; and a filter under which nothing is has a way out."""
    empty, filtered = await console.get("/jobs"), await console.get("/jobs?status=failed")

    assert (empty.status_code, filtered.status_code) == (200, 200)
    assert "No jobs yet" in empty.text
    assert "gimbal evaluations start" in empty.text
    assert "Schedules" not in empty.text
    assert "No job fits" in filtered.text
    assert "Show all" in filtered.text


async def test_a_full_list_shows_every_state(
    console: httpx.AsyncClient, one_of_each: dict[str, Job], services: Services, ctx: Context, clock: FrozenClock
) -> None:
    """With progress, errors escaped, and the schedules with what they started."""
    schedules = services.get(Schedules)
    await schedules.set(ctx, "hourly", cron="0 * * * *", job="axis-jobs.look", payload={})
    await schedules.set(ctx, "off", cron="0 6 * * *", job="axis-jobs.look", payload={}, enabled=False)
    clock.advance(hours=3)
    await schedules.fire_due()
    (fired,) = [row for row in await schedules.all(ctx) if row.last_job_id]
    text = (await console.get("/jobs")).text

    assert [job.status for job in one_of_each.values() if f"/p/default/jobs/{job.id}" not in text] == []
    assert [status for status in STATUSES if status not in text] == []
    assert "20 of 80 examples" in text
    assert "<b>refused" not in text
    assert "&lt;b&gt;refused" in text
    assert "hourly" in text
    assert "0 * * * *" in text
    assert f"/p/default/jobs/{fired.last_job_id}" in text
    assert fired.missed == 2
    some = (await console.get("/jobs?status=parked")).text
    assert one_of_each["parked"].id in some
    assert one_of_each["failed"].id not in some


async def test_a_long_list_has_a_next_page(console: httpx.AsyncClient, queue: Jobs, ctx: Context) -> None:
    """And the next page shows the rest, once."""
    made = [await queue.enqueue(ctx, "axis-jobs.look", {"at": str(n)}) for n in range(55)]
    page = await queue.page(ctx)
    first = (await console.get("/jobs")).text
    second = (await console.get("/jobs", params={"cursor": page.next or ""})).text

    assert page.next
    assert page.next in first
    shown = [[job for job in made if f"/p/default/jobs/{job.id}" in text] for text in (first, second)]
    assert [len(jobs) for jobs in shown] == [50, 5]
    assert shown[0] == made[5:]


@pytest.mark.parametrize("status", STATUSES)
async def test_one_job_shows_what_is_known_and_what_can_be_done(
    console: httpx.AsyncClient, one_of_each: dict[str, Job], status: str
) -> None:
    """A button to stop what goes on, one to repeat what failed, none for what succeeded."""
    text = (await console.get(f"/jobs/{one_of_each[status].id}")).text

    assert f"at {status}" in text
    assert (f"{one_of_each[status].id}/cancel" in text) is (status in {"queued", "running", "parked"})
    assert (f"{one_of_each[status].id}/retry" in text) is (status in {"failed", "cancelled"})
    assert ("Look at its status page." in text) is (status == "failed")
    assert ("0.75" in text) is (status == "succeeded")
    assert "<b>refused" not in text


async def test_the_buttons_work(
    console: httpx.AsyncClient, one_of_each: dict[str, Job], queue: Jobs, ctx: Context
) -> None:
    """And tell what they did; what cannot be is told, too."""
    waiting, failed, done = (one_of_each[status].id for status in ("queued", "failed", "succeeded"))
    stopped = await console.post(f"/jobs/{waiting}/cancel")
    repeated = await console.post(f"/jobs/{failed}/retry")
    refused = await console.post(f"/jobs/{done}/retry")

    assert "The job is asked to stop." in stopped.text
    assert "The job is queued again." in repeated.text
    assert ((await queue.get(ctx, waiting)).status, (await queue.get(ctx, failed)).status) == ("cancelled", "queued")
    assert refused.status_code == 409
    assert "Only failed or cancelled jobs are retried." in refused.text
    foreign = await console.post(f"/jobs/{failed}/cancel", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert (await queue.get(ctx, failed)).status == "queued"


@pytest.mark.parametrize(
    ("path", "code"), [("/jobs/nothing", 404), ("/jobs?cursor=x", 400), ("/jobs?status=done", 400)]
)
async def test_what_is_not_there_is_told_as_a_page(console: httpx.AsyncClient, path: str, code: int) -> None:
    """With a status that fits."""
    reply = await console.get(path)

    assert reply.status_code == code
    assert "text/html" in reply.headers["content-type"]
