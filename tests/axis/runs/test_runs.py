"""Runs: what is acknowledged is read back at once and exactly; parameters never change; pages are newest first."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest

from gimbal.axis.datasets.service import Datasets
from gimbal.axis.runs.model import CreateRun, FinishRun, LogMetric, LogRun, Run, RunFinished, to_wire
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound, NotReady, TooLarge
from gimbal.kernel.events import EventBus
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import encode_cursor
from gimbal.kernel.settings import LimitSettings, Settings
from gimbal.testing.clock import FrozenClock


def points(name: str, *values: float, step: int = 0) -> list[LogMetric]:
    return [LogMetric(name=name, value=to_wire(v), step=step + i) for i, v in enumerate(values)]


async def test_a_log_is_seen_by_the_next_read(runs: Runs, ctx: Context) -> None:
    """Metrics, parameters and tags of one request are all there once it is answered."""
    run = await runs.create(ctx, CreateRun(name="first", experiment="delay"))
    body = LogRun(params={"depth": 3, "rate": 0.1}, tags={"team": "ops"}, metrics=points("auc", 0.7, 0.81))

    logged = await runs.log(ctx, run.id, body)

    seen = await runs.get(ctx, run.id)
    assert (logged.params, logged.tags, logged.metrics) == (2, 1, 2)
    assert seen.params == {"depth": 3, "rate": 0.1}
    assert seen.tags == {"team": "ops"}
    assert seen.metrics == {"auc": 0.81}
    assert seen.status == "running"


async def test_the_newest_metric_is_the_one_of_the_highest_step(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """Points may come in any order; of one step the latest counts."""
    run = await runs.create(ctx, CreateRun())
    now = clock.now()
    late = [
        LogMetric(name="loss", value=0.1, step=9, at=now),
        LogMetric(name="loss", value=0.5, step=1, at=now + timedelta(hours=1)),
        LogMetric(name="loss", value=0.2, step=9, at=now + timedelta(seconds=1)),
    ]
    await runs.log(ctx, run.id, LogRun(metrics=late[:1]))
    await runs.log(ctx, run.id, LogRun(metrics=late[1:]))

    assert (await runs.get(ctx, run.id)).metrics == {"loss": 0.2}


async def test_nan_and_infinities_are_kept_and_json_can_carry_them(runs: Runs, ctx: Context) -> None:
    """A loss that blew up is a finding: it is neither dropped nor turned into null."""
    run = await runs.create(ctx, CreateRun())
    await runs.log(ctx, run.id, LogRun(metrics=points("loss", 1.0, math.inf, -math.inf, math.nan)))

    history = await runs.metric(ctx, run.id, "loss")

    assert [p.value for p in history.items] == [1.0, "Infinity", "-Infinity", "NaN"]
    again = msgspec.json.decode(msgspec.json.encode(await runs.get(ctx, run.id)), type=Run)
    assert again.metrics == {"loss": "NaN"}
    assert math.isnan(float(again.metrics["loss"]))


async def test_the_same_points_sent_again_are_stored_once(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """A sender that did not hear the answer repeats its request."""
    run = await runs.create(ctx, CreateRun())
    body = LogRun(metrics=[LogMetric(name="auc", value=0.5, step=i, at=clock.now()) for i in range(5)])

    await runs.log(ctx, run.id, body)
    await runs.log(ctx, run.id, body)

    assert len((await runs.metric(ctx, run.id, "auc")).items) == 5


async def test_a_parameter_never_changes(runs: Runs, ctx: Context) -> None:
    """The same value again is fine, another one is refused and nothing of that request is stored."""
    run = await runs.create(ctx, CreateRun(params={"depth": 3}))
    await runs.log(ctx, run.id, LogRun(params={"depth": 3}))

    with pytest.raises(Conflict, match="'depth' is 3 already and cannot become 4"):
        await runs.log(ctx, run.id, LogRun(params={"new": 1, "depth": 4}, metrics=points("auc", 0.5)))

    seen = await runs.get(ctx, run.id)
    assert seen.params == {"depth": 3}
    assert seen.metrics == {}


async def test_two_that_log_the_same_parameter_at_once(runs: Runs, ctx: Context) -> None:
    """One value stands; whoever brought another one is told."""
    run = await runs.create(ctx, CreateRun())

    answers = await asyncio.gather(
        *(runs.log(ctx.within("default"), run.id, LogRun(params={"seed": i % 2})) for i in range(8)),
        return_exceptions=True,
    )

    stands = (await runs.get(ctx, run.id)).params["seed"]
    assert [isinstance(a, Conflict) for a in answers] == [i % 2 != stands for i in range(8)]


async def test_a_run_has_a_bounded_number_of_parameters(runs: Runs, ctx: Context) -> None:
    """The limit is on the run, not on the request."""
    ctx.services.register(Settings, Settings(limits=LimitSettings(params_per_run=3, metrics_per_request=2)))
    run = await runs.create(ctx, CreateRun(params={"a": 1, "b": 2}))

    with pytest.raises(TooLarge, match="4 parameters"):
        await runs.log(ctx, run.id, LogRun(params={"c": 3, "d": 4}))
    with pytest.raises(TooLarge, match="3 points"):
        await runs.log(ctx, run.id, LogRun(metrics=points("x", 1, 2, 3)))

    assert (await runs.get(ctx, run.id)).params == {"a": 1, "b": 2}


async def test_tags_may_change(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun(tags={"stage": "try", "team": "ops"}))

    await runs.log(ctx, run.id, LogRun(tags={"stage": "final"}))

    assert (await runs.get(ctx, run.id)).tags == {"stage": "final", "team": "ops"}


async def test_a_run_ends_once(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """The same end again changes nothing; another end is a conflict; the event says it after the commit."""
    heard: list[RunFinished] = []

    async def hear(event: RunFinished) -> None:
        heard.append(event)

    ctx.get(EventBus).subscribe(RunFinished, hear)
    run = await runs.create(ctx, CreateRun())
    clock.advance(minutes=2)
    ended = await runs.finish(ctx, run.id, FinishRun(status="failed", error="out of memory"))
    clock.advance(minutes=2)

    assert await runs.finish(ctx, run.id, FinishRun(status="failed")) == ended
    with pytest.raises(Conflict, match="failed already"):
        await runs.finish(ctx, run.id, FinishRun(status="finished"))

    assert (ended.status, ended.error, ended.ended_at) == (
        "failed",
        "out of memory",
        run.started_at + timedelta(minutes=2),
    )
    assert [(e.run_id, e.status) for e in heard] == [(run.id, "failed")]


async def test_after_the_end_metrics_may_come_and_parameters_may_not(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.finish(ctx, run.id, FinishRun())

    await runs.log(ctx, run.id, LogRun(metrics=points("auc", 0.8), tags={"seen": "yes"}))
    with pytest.raises(NotReady, match="finished"):
        await runs.log(ctx, run.id, LogRun(params={"depth": 3}, metrics=points("auc", 0.9, step=1)))

    seen = await runs.get(ctx, run.id)
    assert (seen.metrics, seen.params) == ({"auc": 0.8}, {})


async def test_the_sender_may_choose_the_id(runs: Runs, ctx: Context) -> None:
    """A repeated request makes one run; something that is no id is refused."""
    chosen = new_id()

    first = await runs.create(ctx, CreateRun(id=chosen, name="a"))
    again = await runs.create(ctx, CreateRun(id=chosen, name="b"))

    assert first == again
    assert len((await runs.page(ctx)).items) == 1
    with pytest.raises(BadInput):
        await runs.create(ctx, CreateRun(id="mine"))


async def test_pages_are_newest_first_and_complete(runs: Runs, ctx: Context) -> None:
    made = [(await runs.create(ctx, CreateRun(name=f"run {i}", experiment=f"e{i % 2}"))).id for i in range(7)]
    await runs.finish(ctx, made[0], FinishRun(status="killed"))
    found: list[str] = []
    cursor = None
    while True:
        page = await runs.page(ctx, cursor=cursor, limit=3)
        found += [run.id for run in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert found == made[::-1]
    assert [r.id for r in (await runs.page(ctx, experiment="e1")).items] == [made[5], made[3], made[1]]
    assert [r.id for r in (await runs.page(ctx, status="killed")).items] == [made[0]]
    with pytest.raises(BadInput, match="is not a status"):
        await runs.page(ctx, status="done")
    for forged in ("x", encode_cursor({"id": 3})):
        with pytest.raises(BadInput):
            await runs.page(ctx, cursor=forged)


async def test_a_metric_is_read_in_pages(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.log(ctx, run.id, LogRun(metrics=points("loss", *(float(i) for i in range(10)), step=-5)))

    first = await runs.metric(ctx, run.id, "loss", limit=6)
    rest = await runs.metric(ctx, run.id, "loss", limit=6, cursor=first.next)

    assert [p.step for p in first.items + rest.items] == list(range(-5, 5))
    assert rest.next is None
    with pytest.raises(BadInput):
        await runs.metric(ctx, run.id, "loss", cursor=encode_cursor({"step": "many", "at": 1}))


async def test_a_long_curve_is_thinned_and_keeps_its_end(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    await runs.log(ctx, run.id, LogRun(metrics=points("loss", *(float(i) for i in range(5_000)))))

    curve = await runs.curve(ctx, run.id, "loss", cells=100)

    steps = [p.step for p in curve]
    # Of a line that only rises the ends of each stretch are its extremes.
    assert len(steps) == 50
    assert steps == sorted(steps)
    assert steps[-1] == 4_999


async def test_inputs_and_outputs_are_resolved(runs: Runs, ctx: Context) -> None:
    """A run that read `latest` notes which version that was."""
    data = ctx.get(Datasets)
    source = await data.snapshot(ctx, "flights/train", pa.table({"x": [1, 2]}))
    run = await runs.create(ctx, CreateRun(inputs=["dataset:flights/train"]))
    made = await data.snapshot(ctx, "flights/clean", pa.table({"x": [1]}), inputs=[source.ref], run_id=run.id)
    await data.snapshot(ctx, "flights/train", pa.table({"x": [3]}))

    seen = await runs.get(ctx, run.id)

    assert [str(r) for r in seen.inputs] == ["dataset:flights/train@v1"]
    assert seen.outputs == [made.ref]
    with pytest.raises(NotFound):
        await runs.log(ctx, run.id, LogRun(inputs=["dataset:flights/none"], params={"a": 1}))
    assert (await runs.get(ctx, run.id)).params == {}


async def test_a_run_of_another_project_is_not_there(runs: Runs, ctx: Context) -> None:
    run = await runs.create(ctx, CreateRun())
    other = ctx.within("flights")

    for ask in (runs.get(other, run.id), runs.log(other, run.id, LogRun()), runs.finish(other, run.id, FinishRun())):
        with pytest.raises(NotFound):
            await ask
    assert (await runs.page(other)).items == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (LogRun(params={"": 1}), "params."),
        (LogRun(params={"n" * 300: 1}), f"params.{'n' * 40}"),
        (LogRun(params={"text": "x" * 70_000}), "params.text"),
        (LogRun(tags={"note": "x" * 70_000}), "tags.note"),
        (LogRun(metrics=[LogMetric(name="m", value=1, at=datetime(2026, 1, 1))]), ""),  # noqa: DTZ001 - no zone is the point
    ],
)
async def test_what_cannot_be_kept_is_named(runs: Runs, ctx: Context, body: LogRun, where: str) -> None:
    run = await runs.create(ctx, CreateRun())

    with pytest.raises((BadInput, TooLarge)) as refused:
        await runs.log(ctx, run.id, body)

    assert refused.value.where == where
    assert refused.value.todo
    assert (await runs.get(ctx, run.id)).params == {}


async def test_times_of_the_sender_are_kept(runs: Runs, ctx: Context) -> None:
    """Runs that are sent later say when they happened, to the microsecond."""
    start = datetime(2025, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    run = await runs.create(ctx, CreateRun(started_at=start))
    await runs.log(ctx, run.id, LogRun(metrics=[LogMetric(name="m", value=1, at=start + timedelta(seconds=1))]))
    ended = await runs.finish(ctx, run.id, FinishRun(ended_at=start + timedelta(seconds=5)))

    assert (ended.started_at, ended.ended_at) == (start, start + timedelta(seconds=5))
    assert (await runs.metric(ctx, run.id, "m")).items[0].at == start + timedelta(seconds=1)
