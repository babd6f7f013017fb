"""Whole outages in virtual time: what callers get, how much more a provider gets, and what health says afterwards."""

import asyncio
import random

import pytest
from tests.generative.gateway.resilience.world import World, always, plan, refusal, run, unreachable, whole

from gimbal.engines.http.model import TooSlow
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import Outcome
from gimbal.generative.gateway.routes.choosing import choose
from gimbal.generative.gateway.routes.model import decode_manifest
from gimbal.generative.gateway.routes.prepared import prepare
from gimbal.generative.gateway.routes.views import ChooseByRoute
from gimbal.kernel.errors import GimbalError, Unavailable
from gimbal.kernel.settings_resilience import BreakerSettings, HealthSettings, RetrySettings

# A breaker that never opens, so that the budget of retries is all that holds them back.
NEVER = HealthSettings(breaker=BreakerSettings(least_calls=1_000_000))


async def traffic(world, asked, *, per_s, seconds, chance, deadline=30.0):
    """Send calls at random moments; return when each began and what came of it, in that order."""

    async def one(after):
        await asyncio.sleep(after)
        begun = world.now
        try:
            return begun, await attempt(
                asked() if callable(asked) else asked,
                world.open_one,
                world.health,
                deadline=begun + deadline,
                chance=chance.random,
            )
        except GimbalError as problem:
            return begun, problem

    times = sorted(chance.uniform(0, seconds) for _ in range(int(per_s * seconds)))
    return await asyncio.gather(*(one(at) for at in times))


@pytest.mark.parametrize("attempts", [2, 5])
def test_retries_add_a_fifth_to_the_load_of_an_outage_and_no_more(attempts):
    async def main():
        world = World({"a/m": always(0.05, lambda: refusal(503))}, NEVER)
        asked = plan("a/m", retry=RetrySettings(attempts=attempts))
        found = await traffic(world, asked, per_s=50, seconds=60, chance=random.Random(1))
        return world, found

    world, found = run(main())
    calls = len(found)

    assert calls == 3000
    assert all(isinstance(problem, GimbalError) for _, problem in found)
    assert 1.15 * calls <= world.count("a/m") <= 1.2 * calls + 10


def test_with_a_breaker_an_outage_costs_a_provider_almost_nothing_and_it_is_found_well_again():
    async def main():
        world = World(
            {"a/m": lambda _, now: (0.05, refusal(500) if now < 1060 else whole()), "b/m": always(0.05, whole)}
        )
        asked = plan("a/m", "b/m", retry=RetrySettings(attempts=1))
        found = await traffic(world, asked, per_s=20, seconds=200, chance=random.Random(2))
        return world, found

    world, found = run(main())
    during = [at for at, name in world.sent if name == "a/m" and at < 1060]
    well = [outcome for begun, outcome in found if begun > 1000 + 60 + 41]
    state = world.health.snapshot()[0]

    assert all(isinstance(outcome, Outcome) for _, outcome in found), "every caller has an answer all the time"
    # Ten calls and those under way open it; then one probe after 5, 10, 20, 40 seconds.
    assert len(during) <= 10 + 5 + 4
    assert {outcome.choice.provider for outcome in well} == {"a"}
    assert (state.state, state.opened) == ("closed", 4)
    assert state.rerouted["b/m"] == sum(outcome.choice.provider == "b" for _, outcome in found)


def test_callers_faults_never_open_a_breaker_nor_hide_an_outage():
    async def main(status_of):
        world = World({"a/m": lambda n, _: (0.01, refusal(status_of(n)))})
        found = await traffic(world, plan("a/m", retry=RetrySettings(attempts=1)), per_s=20, seconds=20,
                              chance=random.Random(3))  # fmt: skip
        return world.health.snapshot()[0], found

    caller, _ = run(main(lambda n: (400, 404, 413, 422, 403)[n % 5]))
    mixed, _ = run(main(lambda n: 400 if n % 4 else 500))

    assert (caller.state, caller.opened, caller.calls) == ("closed", 0, 400)
    assert caller.failures == {"caller": 240, "model_gone": 80, "forbidden": 80}
    assert mixed.opened >= 1, "bad calls beside it do not make a broken model look well"


def test_a_429_storm_is_met_with_silence_for_as_long_as_the_provider_asks():
    """A provider that allows ten calls a second, and tells those beyond to come back after two seconds."""
    windows: dict[int, int] = {}

    def script(number, now):
        windows[int(now)] = windows.get(int(now), 0) + 1
        return (0.02, refusal(429, retry_after=2.0) if windows[int(now)] > 10 else whole())

    async def main():
        world = World({"a/m": script, "b/m": always(0.02, whole)})
        found = await traffic(world, plan("a/m", "b/m"), per_s=100, seconds=30, chance=random.Random(4))
        return world, found

    world, found = run(main())
    state = world.health.snapshot()[0]
    refused = state.failures["rate_limited"]

    assert all(isinstance(outcome, Outcome) for _, outcome in found)
    assert refused / len(found) < 0.02, "of 3,000 calls the limit is told to a handful, not to 2,700"
    assert state.opened == 0, "it is not broken, it is busy"


@pytest.mark.parametrize("seed", range(5))
def test_nothing_begins_after_a_deadline_and_nobody_waits_past_it(seed):
    chance = random.Random(seed)

    def script(number, now):
        told = chance.choice(
            [whole, unreachable, lambda: refusal(503), lambda: refusal(429, retry_after=chance.random())]
        )
        return (chance.expovariate(1.0), told())

    async def main():
        world = World({f"{p}/m": script for p in "abc"}, NEVER)
        ends = []

        async def one():
            await asyncio.sleep(chance.uniform(0, 20))
            end = world.now + chance.uniform(0.01, 2)
            ends.append(end)
            asked = plan("a/m", "b/m", "c/m", retry=RetrySettings(attempts=3))

            async def open_one(choice, deadlines):
                assert world.now < end
                assert world.now + deadlines.total_s == pytest.approx(end)
                return await world.open_one(choice, deadlines)

            attempts = []
            try:
                found = await attempt(
                    asked, open_one, world.health, deadline=end, attempts=attempts, chance=chance.random
                )
            except GimbalError as problem:
                found = problem
            assert world.now <= end + 1e-6
            assert len(attempts) <= 9
            return found

        return await asyncio.gather(*(one() for _ in range(300)))

    found = run(main())

    assert {isinstance(each, Outcome) for each in found} == {True, False}


def test_a_slow_model_loses_its_calls_and_gets_them_back():
    names = [f"p/m{n}" for n in range(5)]

    def script(number, now):
        return (0.1, whole())

    def slow(number, now):
        return (2.0 if 1020 <= now < 1040 else 0.1, whole())

    async def main():
        world = World({name: slow if name == "p/m2" else script for name in names})
        of = prepare("r", decode_manifest({"targets": names, "strategy": "least_latency"}))
        chance = random.Random(6)

        def asked():
            return choose(of, ChooseByRoute(), world.health, chance=chance.random)

        return await traffic(world, asked, per_s=50, seconds=120, chance=chance)

    found = run(main())

    def share(start, end):
        models = [outcome.choice.model for begun, outcome in found if 1000 + start <= begun < 1000 + end]
        return models.count("m2") / len(models)

    assert share(0, 20) == pytest.approx(0.2, abs=0.08)
    assert share(24, 40) < 0.02
    assert share(80, 120) == pytest.approx(0.2, abs=0.08)


def test_a_model_that_fails_fast_is_not_taken_for_a_quick_one():
    names = ["p/good", "p/bad", "p/fine"]

    async def main():
        world = World({name: always(0.001, lambda: refusal(500)) if "bad" in name else always(0.5, whole)
                       for name in names}, NEVER)  # fmt: skip
        of = prepare("r", decode_manifest({"targets": names, "strategy": "least_latency"}))
        chance = random.Random(8)
        found = await traffic(
            world, lambda: choose(of, ChooseByRoute(), world.health, chance=chance.random), per_s=20, seconds=60,
            chance=chance,
        )  # fmt: skip
        return world, found

    world, found = run(main())

    assert all(isinstance(outcome, Outcome) for _, outcome in found)
    assert world.count("p/bad") / len(found) < 0.1


def test_streams_that_break_off_are_told_to_health_and_open_its_breaker():
    async def main():
        world = World({"a/m": always(0.01, whole)})
        for _ in range(10):
            found = await attempt(plan("a/m"), world.open_one, world.health)
            problem = TooSlow("Silence.")
            problem.phase = "between"
            world.health.broke_off(found.choice, problem)
        with pytest.raises(Unavailable):
            await attempt(plan("a/m"), world.open_one, world.health)
        return world.health.snapshot()[0]

    state = run(main())

    assert (state.state, state.answered, state.failures) == ("open", 10, {"too_slow": 10})
    assert state.last_error == "too_slow"


def test_names_that_callers_invent_do_not_fill_the_memory():
    health = Health(HealthSettings(most_models=10))
    for number in range(1000):
        health.of("p", f"m{number}")

    assert [state.model for state in health.snapshot()] == [f"m{n}" for n in range(990, 1000)]


def test_a_provider_that_asks_for_a_year_is_asked_again_after_five_minutes():
    async def main():
        world = World({"a/m": lambda n, _: (0.1, refusal(429, retry_after=3e7) if n == 1 else whole())})
        with pytest.raises(GimbalError):
            await attempt(plan("a/m"), world.open_one, world.health)
        resting = world.health.of("a", "m").resting(world.now)
        await asyncio.sleep(resting)
        return resting, await attempt(plan("a/m"), world.open_one, world.health)

    resting, found = run(main())

    assert resting == pytest.approx(300)
    assert found.choice == Choice(provider="a", model="m")
