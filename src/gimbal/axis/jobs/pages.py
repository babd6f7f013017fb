"""The console's pages of jobs and schedules, with the buttons that stop and repeat."""

from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.model import ENDED, STATUSES
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke


@page("/jobs", title="Jobs", nav="Jobs", order=90, icon="jobs")
async def jobs_page(ctx: Context, request: PageRequest) -> View:
    """Show jobs, newest first, and the schedules that start some."""
    query = request.query
    found = await ctx.get(Jobs).page(
        ctx, status=query.get("status"), name=query.get("name"), cursor=query.get("cursor")
    )
    data = {
        "found": found,
        "statuses": STATUSES,
        "active": any(job.status not in ENDED for job in found.items),
        "filtered": bool(query.get("status") or query.get("name")),
        "schedules": await ctx.get(Schedules).all(ctx),
    }
    return View("jobs/list.html", data)


@page("/jobs/{id}", title="Job", icon="jobs")
async def job_page(ctx: Context, request: PageRequest) -> View:
    """Show one job."""
    job = await ctx.get(Jobs).get(ctx, request.path["id"])
    return View("jobs/detail.html", {"job": job, "active": job.status not in ENDED})


@page_action("/jobs/{id}/cancel")
async def cancel(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Stop the job."""
    await invoke(find("jobs.cancel"), ctx, {"project": request.project, "id": request.path["id"]})
    return Redirect(request.href("/jobs/{id}", id=request.path["id"]), flash="The job is asked to stop.", tone="info")


@page_action("/jobs/{id}/retry")
async def retry(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Try the job again."""
    await invoke(find("jobs.retry"), ctx, {"project": request.project, "id": request.path["id"]})
    return Redirect(request.href("/jobs/{id}", id=request.path["id"]), flash="The job is queued again.")
