"""The job that lets a monitor look, for schedules."""

import msgspec

from gimbal.axis.monitors.model import MonitorReport
from gimbal.axis.monitors.service import Monitors
from gimbal.engines.compute.jobs import JobContext, job


class RunMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """Which monitor looks."""

    monitor: str


@job("monitors.run", retries=2)
async def run_monitor(jc: JobContext, payload: RunMonitor) -> MonitorReport:
    """Look and store the report: one of each job, however often it is tried."""
    ctx = jc.context()
    report = await jc.services.get(Monitors).run(ctx, payload.monitor, report_id=jc.job_id)
    await ctx.settle()
    return report
