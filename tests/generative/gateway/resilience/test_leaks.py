"""Thousands of calls that fail, hang, are hedged and given up in any order: nothing is left over and nothing is lost."""

import asyncio
import random

import pytest
from tests.generative.gateway.resilience.world import World, broken, plan, refusal, run, unreachable, whole

from gimbal.generative.gateway.provider import Answer
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.model import Attempt, HedgeSettings, Outcome
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings_resilience import BreakerSettings, DeadlineSettings, HealthSettings, RetrySettings

TELLS = (
    whole, whole, whole, lambda: whole(finish="content_filter"), unreachable, lambda: refusal(500), lambda: refusal(400),
    lambda: refusal(429), lambda: refusal(429, retry_after=0.5), lambda: broken(begun=False), lambda: broken(begun=True),
    lambda: ZeroDivisionError,
)  # fmt: skip


def drawn(chance):
    """Return a plan with any settings."""
    hedge = HedgeSettings(
        after_s=chance.choice([None, 0.1, 1.0]), share=chance.choice([0.1, 1.0]), to=chance.choice(["same", "next"])
    )
    return plan(
        *chance.sample(["a/m", "b/m", "c/m"], chance.randint(1, 3)),
        hedge=chance.choice([None, hedge, hedge]),
        retry=RetrySettings(attempts=chance.randint(1, 3), repeatable=chance.random() < 0.5),
        deadlines=DeadlineSettings(first_byte_s=chance.choice([0.5, 2.0]), total_s=chance.choice([1.0, 5.0])),
        fall_back_on=chance.choice([(), ("content_filter",)]),
    )


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_left_over(seed):
    chance = random.Random(seed)
    kept: list[Answer] = []

    def script(number, now):
        return (chance.choice([0.0, 0.1, 0.1, 0.3, 1.0, 9.0]), chance.choice(TELLS)())

    async def one(world):
        await asyncio.sleep(chance.uniform(0, 200))
        asked, attempts, sent = drawn(chance), [], []

        async def open_one(choice, deadlines):
            sent.append(choice)
            return await world.open_one(choice, deadlines)

        call = attempt(asked, open_one, world.health, attempts=attempts, chance=chance.random)
        task = asyncio.create_task(call)
        if chance.random() < 0.3:
            await asyncio.wait({task}, timeout=chance.choice([0.0, 0.1, 0.5, 1.0]))
            task.cancel()
        found = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(found, Outcome):
            kept.append(found.answer)
            answered = [row for row in attempts if row.outcome == "ok"]
            assert len(answered) == 1 or found.answer.whole.finish == "content_filter"
        else:
            assert isinstance(found, GimbalError | asyncio.CancelledError | ZeroDivisionError)
        check(asked, attempts, sent)

    def check(asked: object, attempts: list[Attempt], sent: list[object]):
        records = [row for row in attempts if row.outcome not in {"breaker_open", "paused"}]
        retry, targets = asked.resilience.retry.attempts, len(asked.choices)
        assert len(records) == len(sent) <= retry * targets + (asked.resilience.hedge is not None)
        assert sum(row.kind == "hedge" for row in attempts) <= 1
        assert sum(row.outcome == "ok" for row in attempts) <= 1

    async def main():
        breaker = BreakerSettings(least_calls=5, open_s=0.5, most_open_s=4.0, probes=2)
        world = World(dict.fromkeys(("a/m", "b/m", "c/m"), script), HealthSettings(breaker=breaker))
        await asyncio.gather(*(one(world) for _ in range(1000)))
        await asyncio.sleep(60)
        assert len(asyncio.all_tasks()) == 1
        return world

    world = run(main())
    states = world.health.snapshot()

    assert world.under_way == 0
    assert [state.under_way for state in states] == [0, 0, 0]
    assert min(state.opened for state in states) > 0, "breakers opened and closed in it"
    assert all(state.calls == world.count(f"{state.provider}/{state.model}") for state in states)
    assert all(world.health.usable(state.provider, state.model) for state in states), "no probe is missing"
    closed, got = ([id(answer) for answer in world.closed], {id(answer) for answer in kept})
    assert len(closed) == len(set(closed))
    assert not got & set(closed)
    assert {id(answer) for answer in world.opened} <= got | set(closed), "every answer was handed on or closed"
