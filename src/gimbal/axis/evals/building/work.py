"""The job that makes a suite of traces; it goes on where a killed worker left off, and stores what was drawn once."""

from gimbal.axis.evals.building.model import JOB, BuiltSuite, RunFromTraces
from gimbal.axis.evals.building.service import carry_out
from gimbal.engines.compute.jobs import JobContext, job


@job(JOB, retries=3)
async def run_from_traces(jc: JobContext, payload: RunFromTraces) -> BuiltSuite:
    """Draw examples of traces, and store them as a suite."""
    return await carry_out(jc.context(), payload, jc.step, jc.progress)
