"""The operations on jobs and schedules."""

from typing import Annotated

from gimbal.axis.jobs.model import SetSchedule
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import Job, Schedule
from gimbal.engines.compute.schedules import Schedules
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("jobs", "Work in the background: progress, cancel, retry.")
describe("schedules", "Jobs that start by the clock.")


@operation("GET", "/projects/{project}/jobs", name="jobs.list", allow=Permission.VIEW)
async def list_jobs(
    ctx: Context,
    project: str,
    status: Annotated[str | None, "Only queued, running, parked, succeeded, failed or cancelled ones."] = None,
    name: Annotated[str | None, "Only of this kind: `evals.run`."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Job]:
    """List jobs, newest first."""
    return await ctx.get(Jobs).page(ctx, status=status, name=name, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/jobs/{id}", name="jobs.show", allow=Permission.VIEW)
async def show_job(ctx: Context, project: str, id: str) -> Job:  # noqa: A002 - the name in the path
    """Show a job with its progress, result or error."""
    return await ctx.get(Jobs).get(ctx, id)


@operation("POST", "/projects/{project}/jobs/{id}/cancel", name="jobs.cancel", allow=Permission.DEVELOP)
async def cancel_job(ctx: Context, project: str, id: str) -> Job:  # noqa: A002 - the name in the path
    """Stop a job: at once when it waits, within a second or so when it runs."""
    return await ctx.get(Jobs).cancel(ctx, id)


@operation("POST", "/projects/{project}/jobs/{id}/retry", name="jobs.retry", allow=Permission.DEVELOP)
async def retry_job(ctx: Context, project: str, id: str) -> Job:  # noqa: A002 - the name in the path
    """Try a failed or cancelled job again, from its last checkpoint."""
    return await ctx.get(Jobs).retry(ctx, id)


@operation("PUT", "/projects/{project}/schedules", name="schedules.set", allow=Permission.DEVELOP, audited=True)
async def set_schedule(ctx: Context, project: str, body: SetSchedule) -> Schedule:
    """Set a schedule; one with the same slug is replaced."""
    ctx.audit(slug=body.slug, cron=body.cron, job=body.job)
    return await ctx.get(Schedules).set(
        ctx, body.slug, cron=body.cron, job=body.job, payload=body.payload, enabled=body.enabled
    )


@operation("GET", "/projects/{project}/schedules", name="schedules.list", allow=Permission.VIEW)
async def list_schedules(ctx: Context, project: str) -> list[Schedule]:
    """List the schedules of the project."""
    return await ctx.get(Schedules).all(ctx)


@operation(
    "DELETE", "/projects/{project}/schedules/{slug}", name="schedules.remove", allow=Permission.DEVELOP, audited=True
)
async def remove_schedule(ctx: Context, project: str, slug: Annotated[str, "Its name."]) -> None:
    """Remove a schedule; the jobs that it started stay."""
    await ctx.get(Schedules).remove(ctx, slug)
