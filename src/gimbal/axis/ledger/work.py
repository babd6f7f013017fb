"""The job that prices history anew; it goes on where a killed worker left off."""

from gimbal.axis.ledger import rerating
from gimbal.axis.ledger.model import Rerating
from gimbal.axis.ledger.rerating import RerateJob
from gimbal.engines.compute.jobs import JobContext, job


@job(rerating.JOB, retries=5)
async def rerate(jc: JobContext, payload: RerateJob) -> Rerating:
    """Price the calls of a stretch of time by the book that holds now."""
    return await rerating.carry_out(jc.context(), payload.rerating_id, jc.progress)
