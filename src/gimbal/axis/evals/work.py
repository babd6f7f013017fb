"""The jobs that carry evaluations out and judge answers from outside; they go on where a killed worker left off."""

from gimbal.axis.evals.model import EvaluationRun, RunEvaluation
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.running import Progress
from gimbal.axis.evals.runs import JUDGE_JOB, RUN_JOB
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.compute.jobs import JobContext, job
from gimbal.kernel.money import format_money


@job(RUN_JOB, retries=3)
async def run_evaluation(jc: JobContext, payload: RunEvaluation) -> EvaluationRun:
    """Put the subject through the suite."""
    ctx = jc.context()

    async def progress(now: Progress) -> None:
        left = "" if now.left_s is None else f", about {now.left_s:,.0f} s left"
        spent = f", {format_money(now.spent)}" if now.spent else ""
        await jc.progress(now.done, now.total, f"answers{spent}{left}")

    return await jc.services.get(Evaluations).run(ctx, payload.evaluation_id, progress=progress)


@job(JUDGE_JOB, retries=3)
async def judge_answers(jc: JobContext, payload: RunEvaluation) -> EvaluationRun:
    """Judge the answers that came from outside."""

    async def progress(done: int, total: int) -> None:
        await jc.progress(done, total, "answers judged")

    return await jc.services.get(AnswerRecorder).judge(jc.context(), payload.evaluation_id, progress=progress)
