"""The job that carries an evaluation out; it goes on where a killed worker left off."""

from gimbal.axis.evals.model import EvaluationRun, RunEvaluation
from gimbal.axis.evals.service import JOB, Evaluations
from gimbal.engines.compute.jobs import JobContext, job


@job(JOB, retries=3)
async def run_evaluation(jc: JobContext, payload: RunEvaluation) -> EvaluationRun:
    """Put the subject through the suite."""
    ctx = jc.context()

    async def progress(done: int, total: int) -> None:
        await jc.progress(done, total, "examples")

    return await jc.services.get(Evaluations).run(
        ctx, payload.evaluation_id, concurrency=payload.concurrency, progress=progress
    )
