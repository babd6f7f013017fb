"""Runs whose sender fell silent are dead, and live again when it is heard of; points come as columns, too."""

from datetime import timedelta

import msgspec
import pytest

from gimbal.axis.runs.model import BeatRun, CreateRun, FinishRun, LogRun, MetricColumns, UpdateRun
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.testing.clock import FrozenClock


async def test_a_silent_run_is_dead_and_says_since_when(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """Three beats must be missed; a run that promised nothing runs on."""
    promised = await runs.create(ctx, CreateRun(beat_s=15))
    quiet = await runs.create(ctx, CreateRun())
    clock.advance(seconds=45)
    assert await runs.liveness.sweep(clock.now()) == []
    clock.advance(seconds=1)
    assert await runs.liveness.sweep(clock.now()) == [promised.id]
    assert await runs.liveness.sweep(clock.now()) == []

    dead = await runs.get(ctx, promised.id)
    assert (dead.status, dead.ended_at) == ("dead", promised.started_at)
    assert dead.error == "Nothing was heard of it after 2026-01-01T00:00:00.000000Z."
    assert (await runs.get(ctx, quiet.id)).status == "running"


async def test_beats_and_logs_keep_a_run_alive(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """They are kept in memory for some seconds and count all the same."""
    run = await runs.create(ctx, CreateRun(beat_s=15))
    for second in range(0, 200, 4):
        clock.advance(seconds=4)
        if second % 8:
            assert (await runs.beat(ctx, run.id, BeatRun())).status == "running"
        else:
            await runs.log(ctx, run.id, LogRun(tags={"at": str(second)}))
        assert await runs.liveness.sweep(clock.now()) == []
    clock.advance(seconds=46)
    assert await runs.liveness.sweep(clock.now()) == [run.id]


@pytest.mark.parametrize("sign", ["beat", "log", "resume"])
async def test_whoever_is_heard_of_again_lives(runs: Runs, ctx: Context, clock: FrozenClock, sign: str) -> None:
    """A machine that slept, a network that was away: the run goes on, and can be ended."""
    run = await runs.create(ctx, CreateRun(beat_s=15))
    clock.advance(seconds=100)
    await runs.liveness.sweep(clock.now())
    if sign == "beat":
        assert (await runs.beat(ctx, run.id, BeatRun())).status == "running"
    elif sign == "log":
        await runs.log(ctx, run.id, LogRun(params={"p": 1}))
    else:
        await runs.update(ctx, run.id, UpdateRun(status="running"))

    alive = await runs.get(ctx, run.id)
    assert (alive.status, alive.ended_at, alive.error) == ("running", None, "")
    assert await runs.liveness.sweep(clock.now()) == []
    clock.advance(seconds=46)
    assert await runs.liveness.sweep(clock.now()) == [run.id]
    assert (await runs.finish(ctx, run.id, FinishRun())).status == "finished"


async def test_a_beat_does_not_bring_back_what_was_ended(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """Its sender hears how the run stands: somebody killed it, or deleted it."""
    run = await runs.create(ctx, CreateRun(beat_s=15))
    await runs.finish(ctx, run.id, FinishRun(status="killed"))
    assert (await runs.beat(ctx, run.id, BeatRun(every_s=30))).status == "killed"
    await runs.set_stage(ctx, run.id, "deleted")
    assert (await runs.beat(ctx, run.id, BeatRun())).stage == "deleted"
    clock.advance(hours=1)
    assert await runs.liveness.sweep(clock.now()) == []
    with pytest.raises(NotFound):
        await runs.beat(ctx.within("flights"), run.id, BeatRun())


async def test_nobody_is_dead_because_the_server_was_away(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """What was said while nobody listened could not be heard."""
    run = await runs.create(ctx, CreateRun(beat_s=15))
    clock.advance(hours=8)
    began = clock.now()
    clock.advance(seconds=45)
    assert await runs.liveness.sweep(clock.now(), since=began) == []
    clock.advance(seconds=1)
    assert await runs.liveness.sweep(clock.now(), since=began) == [run.id]


def columns(**changed: object) -> MetricColumns:
    told = {"names": ["a", "b"], "index": [0, 1, 0], "steps": [1, 1, 2], "times": [5, 6, 7], "values": [1, "NaN", 2.5]}
    return msgspec.convert(told | changed, MetricColumns)


async def test_points_come_as_columns(runs: Runs, ctx: Context) -> None:
    """They are what the same points one by one are."""
    run = await runs.create(ctx, CreateRun())
    logged = await runs.log(ctx, run.id, LogRun(columns=columns()))

    assert logged.metrics == 3
    assert (await runs.get(ctx, run.id)).metrics == {"a": 2.5, "b": "NaN"}
    points = (await runs.metric(ctx, run.id, "a")).items
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 2.5)]
    assert points[1].at - points[0].at == timedelta(microseconds=2)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"steps": [1]}, "columns.steps"),
        ({"times": []}, "columns.times"),
        ({"values": [1.0] * 4}, "columns.values"),
        ({"index": [0, 1, 2]}, "columns.index"),
    ],
)
async def test_columns_that_do_not_fit_together_are_refused(
    runs: Runs, ctx: Context, changed: dict[str, object], where: str
) -> None:
    """Nothing of the request is kept, its parameters neither."""
    run = await runs.create(ctx, CreateRun())
    with pytest.raises(BadInput) as caught:
        await runs.log(ctx, run.id, LogRun(columns=columns(**changed), params={"p": 1}))

    assert caught.value.where == where
    assert (await runs.get(ctx, run.id)).params == {}


@pytest.mark.parametrize(
    "changed", [{"index": [-1, 0, 0]}, {"times": [-1, 0, 0]}, {"times": [2**62, 0, 0]}, {"steps": [2**63, 0, 0]}]
)
def test_numbers_out_of_range_are_no_columns(changed: dict[str, object]) -> None:
    """The request is refused before anything looks at it."""
    with pytest.raises(msgspec.ValidationError):
        columns(**changed)
