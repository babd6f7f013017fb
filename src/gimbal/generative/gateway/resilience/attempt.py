"""Carries out a Plan: attempts until an answer begins, and a second one beside a slow first where the plan says so.

A call whose first choice is well and answers costs one look into a dictionary and no task.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.health import Known
from gimbal.generative.gateway.resilience.model import Attempt, HedgeSettings, Outcome, Plan
from gimbal.generative.gateway.resilience.run import Failed, OpenOne, Run
from gimbal.generative.gateway.resilience.vitals import ModelHealth

_Try = asyncio.Task[Outcome | Failed]
# Tasks that were stopped and have not ended yet; the loop itself holds them only weakly.
_ending: set[asyncio.Task[None]] = set()


def attempt(
    plan: Plan,
    open_one: OpenOne,
    health: Known,
    *,
    deadline: float | None = None,
    attempts: list[Attempt] | None = None,
    stream: bool = False,
    chance: Callable[[], float] = random.random,
) -> Coroutine[Any, Any, Outcome]:
    """Return the first answer that begins; raise the error that the caller shall see when none does.

    `deadline` is the moment by the health's clock after which the caller no longer waits. `attempts` takes the record of
    each attempt, also where this raises or is cancelled. `stream` says by which latencies a hedge goes. There are at most
    as many attempts as there are targets times attempts at each, and one for a hedge.
    """
    run = Run(plan, open_one, health, deadline=deadline, attempts=attempts, chance=chance)
    hedge = plan.resilience.hedge
    return run.through() if hedge is None else _hedged(run, hedge, stream=stream)


async def _hedged(run: Run, hedge: HedgeSettings, *, stream: bool) -> Outcome:
    """Give the first choice a while, then ask a second time beside it; go on with the plan when both fail."""
    choices = run.plan.choices
    choice = choices[0]
    known = run.health.of(choice.provider, choice.model)
    after = known.p95(stream=stream) if hedge.after_s is None else hedge.after_s
    known.earn_hedge(hedge.share)
    began = run.clock()
    if after is None or began + after >= run.end or not known.usable(began):
        return await run.through()
    first: _Try = asyncio.ensure_future(run.once(choice, known, "first"))
    tries: dict[_Try, tuple[Choice, ModelHealth, str, float]] = {first: (choice, known, "first", began)}
    try:
        await asyncio.wait(tries, timeout=after)
        now = run.clock()
        if not first.done() and now < run.end:
            second = choices[1] if hedge.to == "next" and len(choices) > 1 else choice
            other = run.health.of(second.provider, second.model)
            if other.usable(now) and known.may_hedge():
                run.used = second if second is not choice else None
                tries[asyncio.ensure_future(run.once(second, other, "hedge"))] = (second, other, "hedge", now)
        found = await _first_good(tries)
    except BaseException:
        await _stop(tries)
        raise
    if isinstance(found, Outcome):
        run.over = True
        for task, (lost, its, kind, at) in tries.items():
            if not task.done():
                run.record(lost, kind, at, "wasted")
                task.cancel()
                _left(task)
            elif task.result() is not found:
                _overtaken(run, task, lost, its, kind)
        return found
    await _stop(tries)
    return await _go_on(run, first, tries, found)


async def _first_good(tries: dict[_Try, tuple[Choice, ModelHealth, str, float]]) -> Outcome | Failed:
    """Return the first answer, or the error after which no other answer can come or none is needed."""
    waiting = set(tries)
    asked = next(iter(tries.values()))[0]
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        # In the order in which they began, so that of two at once the first one counts.
        found = {task: task.result() for task in tries if task in done}
        for result in found.values():
            if isinstance(result, Outcome):
                return result
        for task, result in found.items():
            # Another target may refuse what this one would have taken.
            hopeless = isinstance(result, Failed) and not result.fault.elsewhere and tries[task][0] is asked
            if hopeless or not waiting:
                return result


async def _go_on(
    run: Run, first: _Try, tries: dict[_Try, tuple[Choice, ModelHealth, str, float]], found: Outcome | Failed
) -> Outcome:
    """Go on with the plan after all that was under way has failed."""
    failed = [task.result() for task in tries if task is not first and not task.cancelled()]
    for result in failed:
        if isinstance(result, Failed):
            run.tell(result)
    own = found if first.cancelled() else first.result()
    assert isinstance(own, Failed)
    if isinstance(found, Failed) and not found.fault.elsewhere:
        own = found
    return await run.through(own)


def _overtaken(run: Run, task: _Try, lost: Choice, known: ModelHealth, kind: str) -> None:
    """Close an answer that came at the same moment as another, and say so in its record."""
    result = task.result()
    if isinstance(result, Outcome):
        known.wasted += 1
        usage = result.answer.whole.usage if result.answer.whole is not None else None
        for place, row in enumerate(run.attempts):
            if row.choice is lost and row.kind == kind and row.outcome == "ok":
                run.attempts[place] = msgspec.structs.replace(row, outcome="wasted", usage=usage)
        _left(task)


async def _stop(tries: dict[_Try, tuple[Choice, ModelHealth, str, float]]) -> None:
    """Stop all that is under way and wait until it has ended."""
    for task in tries:
        task.cancel()
    await asyncio.wait(tries)
    for task in tries:
        _left(task)


def _left(task: _Try) -> None:
    """Close what a task that nobody waits for any more may still bring."""

    async def end() -> None:
        await asyncio.wait({task})
        result = None if task.cancelled() or task.exception() is not None else task.result()
        if isinstance(result, Outcome):
            await result.answer.aclose()

    ending = asyncio.create_task(end())
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)
