"""Hedged requests: when the second begins, who wins, and what becomes of the loser."""

import asyncio

import pytest
from tests.generative.gateway.resilience.world import World, always, outcomes, plan, refusal, run, whole

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.model import Attempt, HedgeSettings, Outcome
from gimbal.kernel.settings_resilience import RetrySettings

FREE = HedgeSettings(after_s=1.0, share=1.0)


def numbered(*steps):
    """Return a script with an entry for each call: seconds and what is told."""
    return lambda number, _: (steps[number - 1][0], steps[number - 1][1]())


def hedged(scripts, asked, *, deadline=None):
    async def main():
        world = World(scripts)
        attempts: list[Attempt] = []
        end = None if deadline is None else world.now + deadline
        try:
            found = await attempt(asked, world.open_one, world.health, deadline=end, attempts=attempts)
        except Refusal as problem:
            found = problem
        world.took = world.now - 1000
        assert all(row.ms >= 0 for row in attempts)
        rows = outcomes(attempts)
        await asyncio.sleep(30)
        assert outcomes(attempts) == rows, "the record is complete when the answer is there"
        assert world.under_way == 0
        return found, attempts, world

    return run(main())


def test_a_quick_answer_is_not_hedged():
    found, _, world = hedged({"a/m": always(0.9, whole)}, plan("a/m", hedge=FREE))

    assert outcomes(found) == [("first", "a/m", "ok")]
    assert world.health.snapshot()[0].hedges == 0


def test_the_second_wins_where_the_first_is_slow_and_the_first_is_stopped():
    found, attempts, world = hedged({"a/m": numbered((9, whole), (0.5, whole))}, plan("a/m", hedge=FREE))
    state = world.health.snapshot()[0]

    assert outcomes(found) == [("hedge", "a/m", "ok"), ("first", "a/m", "wasted")]
    assert [(row.started_ms, row.ms) for row in attempts] == [
        (pytest.approx(1000), pytest.approx(500)),
        (0, pytest.approx(1500)),
    ]
    assert world.took == pytest.approx(1.5)
    assert world.stopped == ["a/m"]
    assert (state.hedges, state.wasted, state.under_way, state.answered, state.calls) == (1, 1, 0, 1, 2)


def test_the_first_may_win_all_the_same():
    found, _, world = hedged({"a/m": numbered((1.2, whole), (0.5, whole))}, plan("a/m", hedge=FREE))

    assert outcomes(found) == [("first", "a/m", "ok"), ("hedge", "a/m", "wasted")]
    assert world.stopped == ["a/m"]


def test_of_two_answers_at_one_moment_one_is_closed_and_its_use_is_told():
    def used():
        return whole(usage=Usage(input=3, output=4))

    found, attempts, world = hedged({"a/m": numbered((2.0, used), (1.0, used))}, plan("a/m", hedge=FREE))

    assert outcomes(found) == [("first", "a/m", "ok"), ("hedge", "a/m", "wasted")]
    assert attempts[1].usage == Usage(input=3, output=4)
    assert world.closed == [a for a in world.closed if a is not found.answer]
    assert len(world.closed) == 1


def test_the_second_may_go_to_the_next_target():
    asked = plan("a/m", "b/m", hedge=HedgeSettings(after_s=1.0, share=1.0, to="next"))
    found, _, world = hedged({"a/m": always(9, whole), "b/m": always(0.5, whole)}, asked)

    assert outcomes(found) == [("hedge", "b/m", "ok"), ("first", "a/m", "wasted")]
    assert found.choice.provider == "b"
    assert [state.hedges for state in world.health.snapshot()] == [1, 0], "the budget is that of who was slow"


def test_when_both_fail_the_plan_goes_on_and_nobody_is_asked_again_in_vain():
    def no():
        return refusal(503)

    asked = plan(
        "a/m", "b/m", "c/m", hedge=HedgeSettings(after_s=1.0, share=1.0, to="next"), retry=RetrySettings(attempts=1)
    )
    found, _, world = hedged({"a/m": always(2, no), "b/m": always(2, no), "c/m": always(0.1, whole)}, asked)

    assert outcomes(found) == [("first", "a/m", "refused"), ("hedge", "b/m", "refused"), ("fallback", "c/m", "ok")]
    assert world.took == pytest.approx(3.1)
    assert world.health.snapshot()[0].rerouted == {"c/m": 1}


def test_when_the_other_target_was_the_last_the_first_may_be_waited_for():
    asked = plan("a/m", "b/m", hedge=HedgeSettings(after_s=1.0, share=1.0, to="next"))
    scripts = {
        "a/m": numbered((2, lambda: refusal(429, retry_after=3.0)), (0.1, whole)),
        "b/m": always(0.1, lambda: refusal(503)),
    }
    found, _, world = hedged(scripts, asked)

    assert outcomes(found) == [("hedge", "b/m", "refused"), ("first", "a/m", "refused"), ("retry", "a/m", "ok")]
    assert 5.1 <= world.took <= 5.3


def test_an_error_while_both_are_under_way_waits_for_the_other():
    found, _, _ = hedged({"a/m": numbered((1.5, lambda: refusal(503)), (4, whole))}, plan("a/m", hedge=FREE))

    assert outcomes(found) == [("first", "a/m", "refused"), ("hedge", "a/m", "ok")]


def test_a_bad_call_stops_both():
    found, attempts, world = hedged({"a/m": numbered((1.5, lambda: refusal(400)), (9, whole))}, plan("a/m", hedge=FREE))

    assert isinstance(found, Refusal)
    assert sorted(outcomes(attempts)) == [("first", "a/m", "refused"), ("hedge", "a/m", "cancelled")]
    assert world.took == pytest.approx(1.5)


def test_a_refusal_of_the_second_target_does_not_stop_the_first():
    asked = plan("a/m", "b/m", hedge=HedgeSettings(after_s=1.0, share=1.0, to="next"))
    found, _, _ = hedged({"a/m": always(2, whole), "b/m": always(0.1, lambda: refusal(400))}, asked)

    assert outcomes(found) == [("hedge", "b/m", "refused"), ("first", "a/m", "ok")]


def test_no_second_begins_after_the_deadline_and_both_end_by_it():
    found, attempts, world = hedged({"a/m": always(0.5, whole)}, plan("a/m", hedge=FREE), deadline=0.8)

    assert isinstance(found, Outcome)
    assert len(world.sent) == len(attempts) == 1


def test_a_caller_who_goes_away_stops_both():
    async def main():
        world = World({"a/m": always(9, whole)})
        attempts: list[Attempt] = []
        task = asyncio.create_task(attempt(plan("a/m", hedge=FREE), world.open_one, world.health, attempts=attempts))
        await asyncio.sleep(2)
        assert world.under_way == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return world, attempts, world.under_way

    world, attempts, under_way = run(main())

    assert under_way == 0, "both have ended when the caller's task has"
    assert world.stopped == ["a/m", "a/m"]
    assert outcomes(attempts) == [("first", "a/m", "cancelled"), ("hedge", "a/m", "cancelled")]


def test_no_more_calls_are_hedged_than_allowed():
    async def main():
        world = World({"a/m": always(5, whole)})
        asked = plan("a/m", hedge=HedgeSettings(after_s=1.0, share=0.1))
        for call in range(1, 301):
            await attempt(asked, world.open_one, world.health)
            assert world.count("a/m") - call <= 0.1 * call
        return world

    world = run(main())

    assert world.health.snapshot()[0].hedges == 30
    assert world.most_under_way == 2


def test_without_a_delay_of_its_own_a_hedge_waits_as_long_as_95_of_100_calls_take():
    def script(number, now):
        return (3.0 if number == 21 else 0.1 + number % 20 * 0.01, whole())

    async def main():
        world = World({"a/m": script})
        asked = plan("a/m", hedge=HedgeSettings(share=1.0))
        for _ in range(20):
            await attempt(asked, world.open_one, world.health)
        before, begun = world.count("a/m"), world.now
        return (before, await attempt(asked, world.open_one, world.health), world.now - begun)

    before, found, took = run(main())

    assert before == 20, "nothing is hedged while the times are hardly known"
    assert outcomes(found) == [("hedge", "a/m", "ok"), ("first", "a/m", "wasted")]
    assert took == pytest.approx(0.28 + 0.12)
