"""Optimisations as jobs, and what they cost: the cap holds, nothing is paid for twice, and a cancelled one keeps what it has."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest
from tests.generative.gateway.optimising.conftest import BETTER, FILE, PROMPT, SUITE, examples, optimised, store

from gimbal.axis.evals.model import StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.worker import Worker
from gimbal.generative.gateway.optimising.model import OptimisePrompt
from gimbal.kernel.errors import BadInput, Conflict, Unpriced, Unprocessable
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

BODY = OptimisePrompt(suite=SUITE, max_cost=Decimal(1), rounds=3, methods=["reflection"])


@pytest.fixture
async def worker(optimisations, gateway) -> AsyncIterator[Worker]:
    """Give a worker of this process that carries jobs out until the test ends."""
    found = Worker(gateway, name="w")
    stop = asyncio.Event()
    task = asyncio.create_task(found.run(stop))
    yield found
    stop.set()
    await task


async def ended(optimisations, ctx, id_):
    async with asyncio.timeout(60):
        while (run := await optimisations.get(ctx, id_)).status == "running":  # noqa: ASYNC110 - nor does the run
            await asyncio.sleep(0.02)
    return run


async def test_a_worker_carries_it_out(optimisations, worker, ctx, upstream):
    """Planned and started by the operations, followed by its progress, ended with the proof."""
    await store(ctx, examples(32))
    given = {"project": "default", "ref": Ref.parse(PROMPT), "body": BODY}

    plan = await invoke(find("prompts.optimise-plan"), ctx, given)
    begun = await invoke(find("prompts.optimise"), ctx, given)
    found = await ended(optimisations, ctx, begun.id)

    assert (plan.train, plan.validation, plan.clusters) == (16, 16, {"train": 8, "shots": 0, "validation": 8})
    assert plan.calls == 4 * 16 + 3 + 2 * 16
    assert plan.most == 1
    assert 0 < found.spent < plan.cost < 1
    assert (found.status, found.proof.verdict) == ("done", "better")
    async with asyncio.timeout(60):
        # The worker notes that a job is done after the job has noted what it did.
        while (job := (await ctx.get(Jobs).page(ctx, name="prompts.optimise")).items[0]).status == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (job.status, job.done, job.total) == ("succeeded", 3, 3)
    assert (await optimisations.page(ctx, prompt=PROMPT)).items == [found]
    assert (await optimisations.page(ctx, prompt="prompt:help/ans")).items == []
    with pytest.raises(Conflict, match="is done"):
        await optimisations.cancel(ctx, found.id, ctx.get(Jobs))


async def test_what_was_cut_off_goes_on_without_paying_twice(optimisations, ctx, upstream):
    """Cut in its middle, at the proof, and after its end: all of it costs as much as in one go."""
    await store(ctx, examples(32))
    begun = await optimisations.start(ctx, Ref.parse(PROMPT), BODY)
    cut_at = iter([20, 34, 40])
    limit = next(cut_at)
    reached = asyncio.Event()
    rule = upstream.rule

    def noted(messages):
        if len(upstream.asked) >= limit:
            reached.set()
        return rule(messages)

    upstream.rule = noted
    for _ in range(3):
        task = asyncio.create_task(optimisations.run(ctx, begun.id))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await optimisations.get(ctx, begun.id)).status == "cancelled"
        limit = next(cut_at, 10_000)
        reached.clear()
    found = await optimisations.run(ctx, begun.id)
    asked = [(messages[0]["content"], messages[-1]["content"]) for messages in upstream.asked]

    assert (found.status, found.proof.verdict) == ("done", "better")
    assert len(upstream.reflected) == 1
    # Besides those that were under way at the moment of a cut, which are asked again.
    assert len(asked) - len(set(asked)) <= 3 * BODY.concurrency
    before = len(upstream.asked)
    again = await optimisations.run(ctx, begun.id)
    assert (again, len(upstream.asked)) == (found, before)


async def test_another_one_with_the_same_seed_pays_for_nothing_again(optimisations, ctx, upstream):
    """Answers and reflections are known by their content; so are those of the evaluations that follow."""
    await store(ctx, examples(32))
    first = await optimised(ctx, f"{PROMPT}@v1", methods=["reflection"])
    asked, reflected = len(upstream.asked), len(upstream.reflected)
    second = await optimised(ctx, f"{PROMPT}@v1", methods=["reflection"])
    evaluations = ctx.get(Evaluations)
    run = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=str(first.winner)))
    run = await evaluations.run(ctx, run.id)

    assert first.spent > 0
    assert second.spent == 0
    assert second.winner == first.winner
    assert (len(upstream.asked), len(upstream.reflected)) == (asked, reflected)
    assert (run.cached, run.done) == (32, 32)


@pytest.mark.parametrize("share", ["0.3", "0.6", "0.9"])
async def test_the_cap_holds_and_the_proof_is_kept_for(optimisations, ctx, upstream, share):
    """Whatever the cap, no more is spent; a search that ends by it is proven with what was kept back."""
    await store(ctx, examples(40))
    upstream.reflections = lambda n: BETTER if n == 0 else f"<instruction>{{{{topic}}}} {n}</instruction>"
    plan = await optimisations.plan(ctx, Ref.parse(PROMPT), msgspec.structs.replace(BODY, rounds=12))
    cap = plan.cost * Decimal(share)

    found = await optimised(ctx, max_cost=str(cap), rounds=12, methods=["reflection"])

    assert found.spent <= cap
    assert found.status in {"done", "stopped"}
    assert found.outcome
    start = (await optimisations.candidates(ctx, found.id))[0]
    # All calls have the same size here: none is forgotten.
    assert found.spent == start.cost / 20 * (len(upstream.asked) + len(upstream.reflected))


async def test_calls_of_the_search_are_bounded(optimisations, ctx, upstream):
    """Stopped by its calls, it proves what it has."""
    await store(ctx, examples(32))
    upstream.reflections = lambda n: BETTER.replace("Spell", f"No. {n}: Spell")

    found = await optimised(ctx, methods=["reflection"], rounds=50, max_calls=40)

    assert found.calls <= 40
    assert (found.proof.verdict, found.status) == ("better", "done")


@pytest.mark.parametrize(
    ("model", "options", "kind", "where"),
    [
        ("up/tiny", {}, Unpriced, "max_cost"),
        ("openai/gpt-4o-mini", {"reflector": "up/tiny"}, Unpriced, "max_cost"),
        ("openai/gpt-4o-mini", {"max_cost": None}, BadInput, "max_cost"),
        ("openai/gpt-4o-mini", {"max_cost": Decimal("0.0001")}, BadInput, "max_cost"),
        ("openai/gpt-4o-mini", {"max_cost": Decimal("NaN")}, BadInput, "max_cost"),
        ("openai/gpt-4o-mini", {"validation": 0.05}, BadInput, "suite"),
        ("openai/gpt-4o-mini", {"methods": []}, BadInput, "methods"),
        ("openai/gpt-4o-mini", {"suite": PROMPT}, BadInput, "suite"),
    ],
)
async def test_what_cannot_be_held_or_proven_is_refused_before_anything_is_asked(
    optimisations, ctx, upstream, model, options, kind, where
):
    await store(ctx, examples(32), FILE.replace("openai/gpt-4o-mini", model))

    with pytest.raises(kind) as caught:
        await optimisations.start(ctx, Ref.parse(PROMPT), msgspec.structs.replace(BODY, **options))
    assert caught.value.where == where
    assert caught.value.todo
    assert upstream.received == []
    assert (await optimisations.page(ctx)).items == []


async def test_a_target_that_never_answers_ends_it_clearly(optimisations, ctx, upstream):
    """No round is spent on a start of which nothing is known."""
    await store(ctx, examples(32))
    upstream.faults = [400] * 400

    with pytest.raises(Unprocessable, match="no mark on any of the 16 training examples"):
        await optimised(ctx, methods=["reflection"])
    found = (await optimisations.page(ctx)).items[0]
    assert (found.status, found.winner) == ("failed", None)
    assert "no mark" in found.error


async def test_cancelling_keeps_the_candidates(optimisations, worker, ctx, upstream):
    """Stopped while the reflector thinks: the start's answers stay, and no version comes of it."""
    await store(ctx, examples(32))
    begun = await optimisations.start(ctx, Ref.parse(PROMPT), BODY, ctx.get(Jobs))
    async with asyncio.timeout(30):
        while not await optimisations.candidates(ctx, begun.id):  # noqa: ASYNC110 - the catalog tells no one
            await asyncio.sleep(0.01)
    if (await optimisations.get(ctx, begun.id)).status == "running":
        await optimisations.cancel(ctx, begun.id, ctx.get(Jobs))
    found = await ended(optimisations, ctx, begun.id)

    assert found.status in {"cancelled", "done"}
    assert (await optimisations.candidates(ctx, begun.id))[0].mark.n == 16
