"""What is known of models: whose they are, how quick they look, what /metrics shows, and shadows beside the calls."""

import asyncio

import pytest
from tests.generative.gateway.resilience.world import World, always, plan, refusal, run, whole

from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.figures import samples
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.latency import Latency
from gimbal.generative.gateway.resilience.shadow import Shadows
from gimbal.kernel.errors import GimbalError, Upstream


def test_a_projects_own_provider_is_not_taken_for_another_of_the_same_name():
    async def main():
        world = World({"a/m": lambda n, _: (0.1, refusal(429, retry_after=9.0) if n == 1 else whole())})
        mine, theirs = (world.health.within("mine", {"a"}), world.health.within("theirs", {"a", "b"}))
        others = world.health.within("others", ())
        with pytest.raises(GimbalError):
            await attempt(plan("a/m"), world.open_one, mine)
        for known in (theirs, others):
            await attempt(plan("a/m"), world.open_one, known)
        mine.broke_off(Choice(provider="a", model="m"), Upstream("It broke off."))
        return world.health, mine, theirs, others

    health, mine, theirs, others = run(main())

    assert others is health, "who has no provider of its own shares what is known"
    assert [(state.scope, state.state, state.calls) for state in health.snapshot()] == [
        ("", "closed", 1), ("mine", "paused", 1), ("theirs", "closed", 1),
    ]  # fmt: skip
    assert [known.usable("a", "m") for known in (mine, theirs, others)] == [False, True, True]
    assert mine.state("a", "m").failures == {"rate_limited": 1, "bad_answer": 1}
    assert mine.state("b", "m") is None
    assert mine.cost("a", "m", stream=True) == theirs.cost("b", "m", stream=True) + 5.0


def test_calls_that_were_given_up_never_make_a_model_look_quick():
    async def main():
        world = World({"a/m": lambda n, _: (1.0 if n == 1 else 9.0, whole())})
        await attempt(plan("a/m"), world.open_one, world.health)
        before = world.health.cost("a", "m", stream=False)
        for patience in (0.001, 4.0):
            task = asyncio.create_task(attempt(plan("a/m"), world.open_one, world.health))
            await asyncio.sleep(patience)
            task.cancel()
            await asyncio.wait({task})
            yield_ = world.health.cost("a", "m", stream=False)
            if patience == 0.001:
                early = yield_
        return before, early, yield_

    before, early, late = run(main())

    assert early == pytest.approx(before, rel=0.01)
    assert late == pytest.approx(4.0)


def test_a_latency_rises_at_once_falls_slowly_and_is_forgotten():
    latency = Latency(10.0)
    latency.observe(0.1, 0.0)
    latency.observe(2.0, 1.0)
    peak = latency.now(1.0)
    latency.observe(0.1, 2.0)

    assert peak == 2.0
    assert 1.7 < latency.now(2.0) < 2.0
    assert latency.now(100.0) < 0.001
    assert latency.cost(2.0, 3) == pytest.approx(4 * latency.now(2.0))
    assert (Latency(10.0).cost(0.0, 0), Latency(10.0).cost(0.0, 2)) == (0.0, 2.0), "nobody rushes to what is not known"


def test_a_quantile_is_that_of_the_last_times():
    latency = Latency(10.0)
    for number in range(19):
        latency.observe(float(number), 0.0)
    few = latency.quantile(0.95)
    for number in range(1000):
        latency.observe(float(number % 100), 0.0)

    assert few is None
    assert latency.quantile(0.95) == pytest.approx(94, abs=3)


def test_metrics_tell_attempts_by_what_came_of_them():
    async def main():
        world = World({"a/m": always(0.1, lambda: refusal(500)), "b/m": always(0.1, whole)})
        for _ in range(12):
            await attempt(plan("a/m", "b/m"), world.open_one, world.health)
        return world

    world = run(main())
    found = {(s.name, s.labels["provider"], s.labels.get("outcome") or s.labels.get("to") or s.labels.get("sort")): s.value
             for s in samples(world.health)}  # fmt: skip

    assert found["gimbal_gateway_attempts_total", "b", "answered"] == 12
    assert found["gimbal_gateway_attempts_total", "a", "server_error"] == world.count("a/m")
    assert found["gimbal_gateway_rerouted_total", "a", "b/m"] == 12
    assert found["gimbal_gateway_model_resting", "a", None] == 1
    assert found["gimbal_gateway_breaker_opened_total", "a", None] == 1
    assert found["gimbal_gateway_extra_attempts_total", "a", "retry"] > 0
    assert all(sample.name.endswith("_total") == (sample.kind == "counter") for sample in samples(world.health))


def test_shadows_run_beside_are_bounded_and_end_when_the_process_does():
    async def main():
        shadows, go, seen = Shadows(most=2), asyncio.Event(), []

        async def call():
            try:
                await go.wait()
                seen.append("answered")
            except asyncio.CancelledError:
                seen.append("stopped")
                raise

        async def fails():
            raise ZeroDivisionError

        started = [shadows.start(call) for _ in range(3)]
        await asyncio.sleep(0.1)
        go.set()
        await asyncio.sleep(0.1)
        assert shadows.start(fails)
        await asyncio.sleep(0.1)
        go.clear()
        assert shadows.start(call)
        await asyncio.sleep(0.1)
        await shadows.aclose()
        return shadows, started, seen

    shadows, started, seen = run(main())

    assert started == [True, True, False]
    assert seen == ["answered", "answered", "stopped"]
    assert (shadows.started, shadows.left_out, shadows.failed, shadows.under_way) == (4, 1, 1, 0)


def test_health_starts_with_nothing():
    assert Health().snapshot() == []
    assert Health().usable("a", "m")
    assert samples(Health()) == []
