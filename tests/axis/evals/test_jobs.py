"""Evaluations as jobs: a worker carries them out, cancelling keeps what is done, and they go on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.axis.evaluating import SUBJECT, SUITE, Answers, examples, store_subject, store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import EvaluationRun, Example, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TargetOutput
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import Conflict, Unavailable
from gimbal.kernel.operations import find, invoke
from gimbal.testing.clock import FrozenClock


@pytest.fixture
async def worker(evaluations: Evaluations, services: Services) -> AsyncIterator[Worker]:
    """Give a worker of this process that carries jobs out until the test ends."""
    services.register(Clock, SystemClock())
    services.register(Jobs, Jobs(services.get(Catalog), SystemClock()))
    found = Worker(services, name="w")
    stop = asyncio.Event()
    task = asyncio.create_task(found.run(stop))
    yield found
    stop.set()
    await task


async def ended(ctx: Context, run_id: str) -> EvaluationRun:
    async with asyncio.timeout(20):
        while (run := await ctx.get(Evaluations).runs.get(ctx, run_id)).status == "running":  # noqa: ASYNC110 - nor does the run
            await asyncio.sleep(0.02)
    return run


async def test_a_worker_carries_it_out(evaluations: Evaluations, worker: Worker, ctx: Context) -> None:
    """Started by the operation, followed by its progress, ended with estimates."""
    await store_suite(ctx, examples(12))
    await store_subject(ctx, 1, wrong=["q0"])
    body = StartEvaluation(suite=SUITE, subject=SUBJECT)

    run = await invoke(find("evaluations.start"), ctx, {"project": "default", "body": body})
    done = await ended(ctx, run.id)

    assert (done.status, done.done, str(done.subject)) == ("done", 12, f"{SUBJECT}@v1")
    assert done.summaries[0].estimate.value == pytest.approx(11 / 12)
    job = (await ctx.get(Jobs).page(ctx, name="evals.run")).items[0]
    assert (job.done, job.total) == (12, 12)


async def test_a_run_is_what_its_job_is(evaluations: Evaluations, ctx: Context) -> None:
    """Cancelled before it began: the run says so, and runs again when the job is retried."""
    await store_suite(ctx, examples(2))
    await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=SUBJECT)
    run = await invoke(find("evaluations.start"), ctx, {"project": "default", "body": body})
    jobs = ctx.get(Jobs)
    job = (await jobs.page(ctx)).items[0]

    await jobs.cancel(ctx, job.id)
    cancelled = (await evaluations.runs.page(ctx)).items[0]
    await jobs.retry(ctx, job.id)

    assert (run.status, cancelled.status) == ("running", "cancelled")
    assert (await evaluations.runs.get(ctx, run.id)).status == "running"


async def test_a_run_is_there_exactly_when_its_job_is(evaluations: Evaluations, ctx: Context) -> None:
    """Both are of one transaction."""
    await store_suite(ctx, examples(2))
    await store_subject(ctx, 1)

    class Full(Jobs):
        async def enqueue_in(self, *given: object, **named: object) -> object:  # type: ignore[override]
            raise Unavailable("The disk is full.", todo="Make room.")

    full = Full(ctx.get(Catalog), FrozenClock())
    with pytest.raises(Unavailable):
        await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=SUBJECT), full)

    assert (await evaluations.runs.page(ctx)).items == []


async def test_cancelling_keeps_what_is_done_and_it_goes_on(
    evaluations: Evaluations, worker: Worker, ctx: Context, answers: Answers
) -> None:
    """Half of the answers come; cancelled, they are summed up; resumed, only the others are asked for."""
    hang = asyncio.Event()

    async def answer(version: Version, example: Example) -> TargetOutput:
        if int(example.id[1:]) >= 6:
            await hang.wait()
        return TargetOutput(text=f"word{example.id[1:]}")

    answers.answer = answer
    await store_suite(ctx, examples(12))
    await store_subject(ctx, 1)
    jobs = ctx.get(Jobs)
    run = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=SUBJECT), jobs)
    async with asyncio.timeout(20):
        while len(await evaluations.results(ctx, run.id)) < 6:  # noqa: ASYNC110 - the columns tell no one
            await asyncio.sleep(0.02)
    await evaluations.cancel(ctx, run.id, jobs)
    async with asyncio.timeout(20):
        while (cut := await evaluations.runs.get(ctx, run.id)).status == "running" or not cut.summaries:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    asked = len(answers.asked)
    with pytest.raises(Conflict, match="is cancelled"):
        await evaluations.cancel(ctx, run.id, jobs)
    hang.set()
    await evaluations.resume(ctx, run.id, ResumeEvaluation(), jobs)
    done = await ended(ctx, run.id)

    assert (cut.status, cut.done, cut.summaries[0].estimate.n) == ("cancelled", 6, 6)
    assert (done.status, done.done, done.summaries[0].estimate.n) == ("done", 12, 12)
    assert sorted(q for _, q in answers.asked[asked:]) == sorted(f"q{i}" for i in range(6, 12))
