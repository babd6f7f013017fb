"""The job that has a suite written; it goes on where a killed worker left off, without asking again."""

from decimal import Decimal

from gimbal.axis.evals.synthesis.model import JOB, RunSynthesis, SynthesisReport
from gimbal.axis.evals.synthesis.service import carry_out
from gimbal.engines.compute.jobs import JobContext, job
from gimbal.kernel.money import format_money


@job(JOB, retries=3)
async def run_synthesis(jc: JobContext, payload: RunSynthesis) -> SynthesisReport:
    """Have questions written from passages, and store them as a suite."""

    async def tell(done: int, total: int, spent: Decimal) -> None:
        await jc.progress(done, total, f"passages, {format_money(spent)}" if spent else "passages")

    return await carry_out(jc.context(), payload, jc.step, tell)
