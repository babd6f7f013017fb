"""The operations on monitors and labels."""

from typing import Annotated

from gimbal.axis.monitors.model import AddLabels, CreateMonitor, LabelsAdded, Monitor, MonitorReport
from gimbal.axis.monitors.service import Monitors
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("labels", "What turned out to be true of predictions.")
describe("monitors", "Scheduled questions about production: drift and performance.")

Slug = Annotated[str, "Slug of the monitor."]


@operation("POST", "/projects/{project}/labels", name="labels.add", allow=Permission.DEVELOP)
async def add_labels(ctx: Context, project: str, body: AddLabels) -> LabelsAdded:
    """Say what turned out to be true of predictions, as late as it becomes known."""
    return LabelsAdded(labels=await ctx.get(Monitors).add_labels(ctx, body.endpoint, body.labels))


@operation("PUT", "/projects/{project}/monitors", name="monitors.set", allow=Permission.DEVELOP, audited=True)
async def set_monitor(ctx: Context, project: str, body: CreateMonitor) -> Monitor:
    """Set a monitor of an endpoint; one with the same slug is replaced."""
    ctx.audit(slug=body.slug, endpoint=body.endpoint)
    return await ctx.get(Monitors).set(ctx, body)


@operation("GET", "/projects/{project}/monitors", name="monitors.list", allow=Permission.VIEW)
async def list_monitors(ctx: Context, project: str) -> list[Monitor]:
    """List the monitors of the project."""
    return await ctx.get(Monitors).all(ctx)


@operation("GET", "/projects/{project}/monitors/{slug}", name="monitors.show", allow=Permission.VIEW)
async def show_monitor(ctx: Context, project: str, slug: Slug) -> Monitor:
    """Show a monitor."""
    return await ctx.get(Monitors).get(ctx, slug)


@operation(
    "DELETE", "/projects/{project}/monitors/{slug}", name="monitors.remove", allow=Permission.DEVELOP, audited=True
)
async def remove_monitor(ctx: Context, project: str, slug: Slug) -> None:
    """Remove a monitor with its reports."""
    await ctx.get(Monitors).remove(ctx, slug)


@operation("POST", "/projects/{project}/monitors/{slug}/run", name="monitors.run", allow=Permission.DEVELOP)
async def run_monitor(ctx: Context, project: str, slug: Slug) -> MonitorReport:
    """Let a monitor look now; its report is stored."""
    return await ctx.get(Monitors).run(ctx, slug)


@operation("GET", "/projects/{project}/monitors/{slug}/reports", name="monitors.reports", allow=Permission.VIEW)
async def monitor_reports(
    ctx: Context, project: str, slug: Slug, cursor: str | None = None, limit: int = 20
) -> Page[MonitorReport]:
    """List what a monitor found, newest first."""
    return await ctx.get(Monitors).reports(ctx, slug, cursor=cursor, limit=limit)
