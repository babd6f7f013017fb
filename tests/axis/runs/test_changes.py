"""Changing runs: names, notes, tags, ends that are taken back, runs that are deleted and restored, parts of others."""

from typing import Any

import pytest
import sqlalchemy as sa

from gimbal.axis.runs.model import CreateRun, FinishRun, LogMetric, LogRun, RunFinished, UpdateRun
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, NotReady
from gimbal.kernel.events import EventBus
from gimbal.testing.clock import FrozenClock


async def test_name_note_and_tags_change(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """What is left out stays."""
    run = await runs.create(ctx, CreateRun(name="a", note="first", tags={"x": "1", "y": "2"}, user="ada", group="g"))
    clock.advance(seconds=60)
    changed = await runs.update(ctx, run.id, UpdateRun(name="b", tags={"x": None, "z": "3"}))

    assert (changed.name, changed.note) == ("b", "first")
    assert (await runs.get(ctx, run.id)).tags == {"y": "2", "z": "3"}
    assert (changed.user, changed.group, changed.status) == ("ada", "g", "running")
    assert changed.updated_at == clock.now()
    with pytest.raises(BadInput):
        await runs.update(ctx, run.id, UpdateRun(tags={"": "1"}))


async def test_a_change_asks_for_nothing_that_it_does_not_answer(runs: Runs, ctx: Context) -> None:
    """One statement changes the run and answers, one more its tags: what was logged stays where it is."""
    run = await runs.create(ctx, CreateRun(params={"depth": 3}, tags={"a": "1"}))
    said: list[str] = []

    def heard(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", heard)
    try:
        counts: list[int] = []
        for body in (UpdateRun(name="b"), UpdateRun(tags={"x": "1"}), UpdateRun(status="finished")):
            said.clear()
            await runs.update(ctx, run.id, body)
            counts.append(len(said))
        for stage in ("deleted", "active"):
            said.clear()
            await runs.set_stage(ctx, run.id, stage)
            counts.append(len(said))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", heard)
    # The first of them did not know the run yet.
    assert counts[1:] == [2, 1, 2, 2]
    assert counts[0] <= 2
    assert not any(table in one for one in said for table in ("run_params", "run_latest", "uses", "versions"))


async def test_a_run_that_has_ended_goes_on(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """Its parameters may come again then; ending it is told each time it ends."""
    told: list[str] = []

    async def heard(event: RunFinished) -> None:
        told.append(event.status)

    ctx.get(EventBus).subscribe(RunFinished, heard)
    run = await runs.create(ctx, CreateRun())
    await runs.finish(ctx, run.id, FinishRun(status="failed", error="out of memory"))
    with pytest.raises(NotReady):
        await runs.log(ctx, run.id, LogRun(params={"depth": 3}))
    again = await runs.update(ctx, run.id, UpdateRun(status="running"))
    assert (again.status, again.ended_at) == ("running", None)
    await runs.log(ctx, run.id, LogRun(params={"depth": 3}))
    clock.advance(seconds=5)
    ended = await runs.update(ctx, run.id, UpdateRun(status="finished"))
    await ctx.settle()
    assert (ended.status, ended.ended_at) == ("finished", clock.now())
    assert told == ["failed", "finished"]


async def test_a_deleted_run_is_out_of_lists_and_takes_nothing(runs: Runs, ctx: Context) -> None:
    """It can be read, and restored as it was."""
    run = await runs.create(ctx, CreateRun(params={"depth": 3}))
    await runs.log(ctx, run.id, LogRun(metrics=[LogMetric(name="auc", value=0.5)]))
    gone = await runs.set_stage(ctx, run.id, "deleted")

    assert gone.stage == "deleted"
    assert (await runs.page(ctx)).items == []
    for change in (
        runs.log(ctx, run.id, LogRun(tags={"a": "1"})),
        runs.update(ctx, run.id, UpdateRun(name="b")),
        runs.finish(ctx, run.id, FinishRun()),
    ):
        with pytest.raises(NotReady):
            await change
    back = await runs.set_stage(ctx, run.id, "active")
    whole = await runs.get(ctx, run.id)
    assert (back.stage, whole.params, whole.metrics) == ("active", {"depth": 3}, {"auc": 0.5})
    assert [one.id for one in (await runs.page(ctx)).items] == [run.id]


async def test_a_run_may_be_a_part_of_another(runs: Runs, ctx: Context) -> None:
    """Of one of its project that is there."""
    whole = await runs.create(ctx, CreateRun())
    part = await runs.create(ctx, CreateRun(parent_id=whole.id))
    assert part.parent_id == whole.id
    with pytest.raises(NotFound):
        await runs.create(ctx.within("flights"), CreateRun(parent_id=whole.id))
