"""The job that carries an optimisation out; it goes on where a killed worker left off."""

from gimbal.engines.compute.jobs import JobContext, job
from gimbal.generative.gateway.optimising.model import Optimisation, RunOptimisation
from gimbal.generative.gateway.optimising.service import JOB, Optimisations
from gimbal.kernel.money import format_money


@job(JOB, retries=3)
async def run_optimisation(jc: JobContext, payload: RunOptimisation) -> Optimisation:
    """Search for a better version of a prompt, and prove it."""

    async def progress(now: Optimisation) -> None:
        best = "" if now.best_mark is None else f", best {now.best_mark:.3f}"
        spent = f", {format_money(now.spent)}" if now.spent else ""
        await jc.progress(now.rounds, now.options.rounds, f"rounds{best}{spent}")

    return await jc.services.get(Optimisations).run(jc.context(), payload.optimisation_id, progress=progress)
