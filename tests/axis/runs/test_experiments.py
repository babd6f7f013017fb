"""Experiments: made by name or by the first run that names them, renamed, tagged, deleted with their runs and restored."""

import pytest

from gimbal.axis.runs.experiments.model import CreateExperiment, UpdateExperiment
from gimbal.axis.runs.model import CreateRun, LogRun
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NameTaken, NotFound, NotReady
from gimbal.testing.clock import FrozenClock


async def test_a_run_makes_the_experiment_that_it_names(runs: Runs, ctx: Context) -> None:
    """Once, however many runs name it; without a name it is the project's default."""
    first = await runs.create(ctx, CreateRun(experiment="delay"))
    second = await runs.create(ctx, CreateRun(experiment="delay"))
    plain = await runs.create(ctx, CreateRun())

    found = (await runs.experiments.page(ctx)).items
    assert [one.name for one in found] == ["default", "delay"]
    assert (first.experiment, second.experiment, plain.experiment) == ("delay", "delay", "default")
    assert await runs.experiments.default(ctx) == found[0]


async def test_a_name_is_taken_once_also_by_a_deleted_one(runs: Runs, ctx: Context) -> None:
    """And a name is something that can be read."""
    made = await runs.experiments.create(ctx, CreateExperiment(name="Größe / 'quoted'", tags={"team": "ops"}))
    assert (await runs.experiments.named(ctx, "Größe / 'quoted'")) == made
    assert made.tags == {"team": "ops"}
    await runs.set_experiment_stage(ctx, made.key, "deleted")
    with pytest.raises(NameTaken):
        await runs.experiments.create(ctx, CreateExperiment(name=made.name))
    with pytest.raises(BadInput):
        await runs.experiments.create(ctx, CreateExperiment(name=" "))


async def test_renaming_and_tagging(runs: Runs, ctx: Context) -> None:
    """Runs go with the name; a tag is set, changed and taken away."""
    run = await runs.create(ctx, CreateRun(experiment="old"))
    other = await runs.experiments.create(ctx, CreateExperiment(name="other"))
    key = (await runs.experiments.named(ctx, "old")).key
    await runs.experiments.update(ctx, key, UpdateExperiment(name="new", tags={"a": "1", "b": "2"}))
    changed = await runs.experiments.update(ctx, key, UpdateExperiment(tags={"a": None, "b": "3"}))

    assert (changed.name, changed.tags) == ("new", {"b": "3"})
    runs.desk.forget()
    assert (await runs.get(ctx, run.id)).experiment == "new"
    with pytest.raises(NameTaken):
        await runs.experiments.update(ctx, key, UpdateExperiment(name=other.name))
    with pytest.raises(NotFound):
        await runs.experiments.named(ctx, "old")


async def test_a_deleted_experiment_takes_its_runs_along_and_brings_them_back(runs: Runs, ctx: Context) -> None:
    """Nothing is lost by it, and nothing is added meanwhile."""
    run = await runs.create(ctx, CreateRun(experiment="delay", params={"depth": 3}))
    key = (await runs.experiments.named(ctx, "delay")).key
    await runs.set_experiment_stage(ctx, key, "deleted")

    assert (await runs.page(ctx)).items == []
    assert (await runs.experiments.page(ctx)).items == []
    assert [one.key for one in (await runs.experiments.page(ctx, stage="deleted")).items] == [key]
    with pytest.raises(NotReady):
        await runs.create(ctx, CreateRun(experiment="delay"))
    with pytest.raises(NotReady):
        await runs.log(ctx, run.id, LogRun(tags={"a": "1"}))
    with pytest.raises(NotReady):
        await runs.experiments.update(ctx, key, UpdateExperiment(name="x"))
    await runs.set_experiment_stage(ctx, key, "active")
    assert [one.id for one in (await runs.page(ctx)).items] == [run.id]
    assert (await runs.get(ctx, run.id)).params == {"depth": 3}


async def test_other_projects_do_not_see_it(runs: Runs, ctx: Context) -> None:
    """Neither by name nor by number, and their names are their own."""
    made = await runs.experiments.create(ctx, CreateExperiment(name="delay"))
    there = ctx.within("flights")
    with pytest.raises(NotFound):
        await runs.experiments.named(there, "delay")
    with pytest.raises(NotFound):
        await runs.experiments.of_key(there, made.key)
    assert (await runs.experiments.create(there, CreateExperiment(name="delay"))).key != made.key


async def test_pages_are_newest_first(runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """And nothing comes twice or is left out."""
    made = [(await runs.experiments.create(ctx, CreateExperiment(name=f"e{n}"))).key for n in range(5)]
    seen, cursor = [], None
    while True:
        page = await runs.experiments.page(ctx, cursor=cursor, limit=2)
        seen += [one.key for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == made[::-1]
