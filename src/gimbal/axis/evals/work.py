"""The job that carries an evaluation out; it goes on where a killed worker left off."""

from gimbal.axis.evals.model import EvaluationRun, RunEvaluation
from gimbal.axis.evals.running import Progress
from gimbal.axis.evals.service import JOB, Evaluations
from gimbal.engines.compute.jobs import JobContext, job
from gimbal.kernel.money import format_money


@job(JOB, retries=3)
async def run_evaluation(jc: JobContext, payload: RunEvaluation) -> EvaluationRun:
    """Put the subject through the suite."""
    ctx = jc.context()

    async def progress(now: Progress) -> None:
        left = "" if now.left_s is None else f", about {now.left_s:,.0f} s left"
        spent = f", {format_money(now.spent)}" if now.spent else ""
        await jc.progress(now.done, now.total, f"answers{spent}{left}")

    return await jc.services.get(Evaluations).run(ctx, payload.evaluation_id, progress=progress)
