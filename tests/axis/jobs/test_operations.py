"""The operations on jobs and schedules: what they answer, who may, and what is refused."""

from typing import Any

import pytest

from gimbal.axis.jobs.model import SetSchedule
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job
from gimbal.kernel.context import NOBODY, Context, Principal, Role
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NotAuthenticated, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.testing.clock import FrozenClock


async def call(ctx: Context, operation: str, /, **given: Any) -> Any:
    return await invoke(find(operation), ctx, {"project": ctx.project, **given})


def someone(ctx: Context, role: Role, project: str = "default") -> Context:
    return Context(ctx.services, Principal(kind="key", id="k", name="k", roles={project: role}), "default")


@pytest.mark.usefixtures("one_of_each")
async def test_jobs_are_listed_and_shown(ctx: Context, one_of_each: dict[str, Job]) -> None:
    """Newest first, by status and kind, and one with all that is known of it."""
    everything = await call(ctx, "jobs.list")
    assert [row.status for row in everything.items] == list(reversed(one_of_each))
    assert [row.id for row in (await call(ctx, "jobs.list", status="failed")).items] == [one_of_each["failed"].id]
    assert (await call(ctx, "jobs.list", name="other")).items == []
    first = await call(ctx, "jobs.list", limit=4)
    rest = await call(ctx, "jobs.list", limit=4, cursor=first.next)
    assert (first.items + rest.items, rest.next) == (everything.items, None)

    shown = await call(ctx, "jobs.show", id=one_of_each["failed"].id)
    assert shown == one_of_each["failed"]
    assert (shown.error.code, shown.attempt, shown.payload) == ("upstream", 3, {"at": "at failed"})


@pytest.mark.parametrize(
    ("status", "verb", "becomes"),
    [
        ("queued", "cancel", "cancelled"),
        ("parked", "cancel", "cancelled"),
        ("running", "cancel", "running"),
        ("failed", "retry", "queued"),
        ("cancelled", "retry", "queued"),
        ("succeeded", "cancel", Conflict),
        ("failed", "cancel", Conflict),
        ("cancelled", "cancel", Conflict),
        ("queued", "retry", Conflict),
        ("running", "retry", Conflict),
        ("parked", "retry", Conflict),
        ("succeeded", "retry", Conflict),
    ],
)
async def test_what_each_state_allows(
    ctx: Context, one_of_each: dict[str, Job], status: str, verb: str, becomes: Any
) -> None:
    """And what it does not is a conflict that changes nothing."""
    job = one_of_each[status]
    if becomes is Conflict:
        with pytest.raises(Conflict) as caught:
            await call(ctx, f"jobs.{verb}", id=job.id)
        assert caught.value.where == "id"
        assert await call(ctx, "jobs.show", id=job.id) == job
        return
    after = await call(ctx, f"jobs.{verb}", id=job.id)
    assert after.status == becomes
    assert after.cancelling is (verb == "cancel")


@pytest.mark.parametrize("verb", ["show", "cancel", "retry"])
@pytest.mark.parametrize("job_id", ["", "nothing", "018f0000-0000-7000-8000-000000000000", "' OR 1=1 --", "\0"])
async def test_a_job_that_is_not_there_is_not_found(ctx: Context, queue: Jobs, verb: str, job_id: str) -> None:
    """Whatever is given for its id."""
    with pytest.raises(NotFound) as caught:
        await call(ctx, f"jobs.{verb}", id=job_id)

    assert caught.value.where == "id"


@pytest.mark.parametrize("given", [{"status": "done"}, {"cursor": "x"}, {"limit": 0}, {"limit": 1001}])
async def test_a_list_that_cannot_be_is_refused(ctx: Context, queue: Jobs, given: dict[str, Any]) -> None:
    """By the name of what is wrong."""
    with pytest.raises(BadInput) as caught:
        await call(ctx, "jobs.list", **given)

    assert [caught.value.where] == list(given)


async def test_who_may_do_what(ctx: Context, one_of_each: dict[str, Job]) -> None:
    """A viewer sees, a developer stops and repeats; somebody of another project or without a key neither."""
    viewer, developer = someone(ctx, Role.VIEWER), someone(ctx, Role.DEVELOPER)
    stranger, nobody = someone(ctx, Role.ADMIN, "flights"), Context(ctx.services, NOBODY, "default")
    waiting, failed = one_of_each["queued"].id, one_of_each["failed"].id
    body = SetSchedule(slug="s", cron="0 6 * * *", job="axis-jobs.look")
    reads: list[tuple[str, dict[str, Any]]] = [
        ("jobs.list", {}),
        ("jobs.show", {"id": waiting}),
        ("schedules.list", {}),
    ]
    writes: list[tuple[str, dict[str, Any]]] = [
        ("jobs.cancel", {"id": waiting}), ("jobs.retry", {"id": failed}),
        ("schedules.set", {"body": body}), ("schedules.remove", {"slug": "s"}),
    ]  # fmt: skip
    for who, error, refused in (
        (viewer, Forbidden, writes), (stranger, Forbidden, reads + writes), (nobody, NotAuthenticated, reads + writes),
    ):  # fmt: skip
        for name, given in refused:
            with pytest.raises(error):
                await call(who, name, **given)
    for name, given in reads:
        await call(viewer, name, **given)
    assert await call(viewer, "jobs.show", id=waiting) == one_of_each["queued"]
    for name, given in writes:
        await call(developer, name, **given)
    assert (await call(viewer, "jobs.show", id=waiting)).status == "cancelled"


async def test_schedules_are_set_listed_and_removed_with_a_record(
    ctx: Context, queue: Jobs, clock: FrozenClock
) -> None:
    """Who sets or removes one is in the audit; what was refused is not there."""
    body = SetSchedule(slug="daily", cron="0 6 * * *", job="axis-jobs.look", payload={"at": "delays"}, enabled=False)
    made = await call(ctx, "schedules.set", body=body)
    assert (made.slug, made.enabled, made.payload) == ("daily", False, {"at": "delays"})
    assert await call(ctx, "schedules.list") == [made]
    for wrong, error in (
        (SetSchedule(slug="x", cron="often", job="axis-jobs.look"), BadInput),
        (SetSchedule(slug="x", cron="* * * * *", job="nothing"), NotFound),
        (SetSchedule(slug="x", cron="* * * * *", job="axis-jobs.look", payload={"at": None}), BadInput),
        (SetSchedule(slug="", cron="* * * * *", job="axis-jobs.look"), BadInput),
    ):
        with pytest.raises(error):
            await call(ctx, "schedules.set", body=wrong)
    await call(ctx, "schedules.remove", slug="daily")
    assert await call(ctx, "schedules.list") == []
    with pytest.raises(NotFound):
        await call(ctx, "schedules.remove", slug="daily")

    found = (await ctx.get(AuditLog).page("default", limit=10)).items
    told = [(e.action, e.details.get("slug")) for e in found if e.action.startswith("schedules.")]
    assert told == [("schedules.remove", "daily"), ("schedules.set", "daily")]
