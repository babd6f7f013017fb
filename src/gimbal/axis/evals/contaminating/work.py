"""The job that compares a suite with what models may have seen of it; after a crash it compares anew."""

from gimbal.axis.evals.contaminating.model import JOB, ContaminationReport, RunContamination
from gimbal.axis.evals.contaminating.service import carry_out
from gimbal.engines.compute.jobs import JobContext, job


@job(JOB, retries=3)
async def run_contamination(jc: JobContext, payload: RunContamination) -> ContaminationReport:
    """Compare the suite's examples with other versions, and with each other."""
    return await carry_out(jc.context(), payload, jc.progress)
