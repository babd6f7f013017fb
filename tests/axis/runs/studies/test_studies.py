"""Studies: numbers and claims are given once, ends are decided once, and each trial is a run that tells the same."""

import asyncio
import contextlib
import json
import math
from datetime import timedelta
from typing import Any

import pytest

from gimbal.axis.runs.model import BeatRun, CreateRun, FinishRun
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.studies.model import (
    MAX_ATTR_BYTES,
    CreateStudy,
    CreateTrial,
    Report,
    TrialParam,
    UpdateStudy,
    UpdateTrial,
)
from gimbal.axis.runs.studies.service import Studies
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NameTaken, NotFound, NotReady, TooLarge
from gimbal.kernel.ids import new_id
from gimbal.testing.clock import FrozenClock


def drawn(value: float, *, low: float = 0.0, high: float = 1.0, log: bool = False) -> TrialParam:
    text = json.dumps({"name": "FloatDistribution", "attributes": {"low": low, "high": high, "log": log, "step": None}})
    return TrialParam(value=value, internal=value, distribution=text)


def chosen(place: int, *choices: Any) -> TrialParam:
    text = json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": choices}})
    return TrialParam(value=choices[place], internal=float(place), distribution=text)


async def begun(studies: Studies, ctx: Context, name: str = "depths") -> str:
    made = await studies.create(ctx, CreateStudy(name=name, directions=["minimize"], experiment="delay"))
    return str(made.number)


async def test_a_trial_is_a_run_of_the_study(studies: Studies, runs: Runs, ctx: Context, clock: FrozenClock) -> None:
    """With its parameters, what it reported as points, its value, its end, and what was noted as tags."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial(params={"eta": drawn(0.1)}))
    await studies.change(ctx, trial.id, UpdateTrial(params={"kind": chosen(1, "a", "b")}))
    await studies.change(ctx, trial.id, UpdateTrial(reports=[Report(step=1, value=0.7), Report(step=2, value="NaN")]))
    await studies.change(ctx, trial.id, UpdateTrial(user_attrs={"who": '"Ada"', "layers": "[1, 2]"}))
    clock.advance(seconds=5)
    done = await studies.change(ctx, trial.id, UpdateTrial(state="complete", values=[0.5]))

    run = await runs.get(ctx, trial.run_id)
    assert (run.status, run.group, run.experiment, run.name) == ("finished", "depths", "delay", "depths 0")
    assert run.params == {"eta": 0.1, "kind": "b"}
    assert run.metrics["objective"] == 0.5
    points = (await runs.metric(ctx, run.id, "intermediate")).items
    assert [(point.step, point.value) for point in points] == [(1, 0.7), (2, "NaN")]
    assert {"trial": "0", "trial.state": "complete", "who": "Ada", "layers": "[1, 2]"}.items() <= run.tags.items()
    found = await studies.get_trial(ctx, trial.id)
    assert found.ended_at == done.ended_at == run.ended_at
    assert found.values == [0.5]
    assert [one.value for one in found.reports] == [0.7, "NaN"]


async def test_a_request_that_is_repeated_makes_the_same_points(
    studies: Studies, runs: Runs, ctx: Context, clock: FrozenClock
) -> None:
    """Reports by the moment that the sender names, values by the end that was decided: of two ends one has points."""
    study = await begun(studies, ctx)
    body = CreateTrial(run_id=new_id(), reports=[Report(step=1, value=0.9)])
    trial = await studies.begin(ctx, study, body)
    report = UpdateTrial(reports=[Report(step=2, value=0.7)], at=clock.now())
    ends = [UpdateTrial(state="complete", values=[0.5]), UpdateTrial(state="complete", values=[0.4])]
    for again in range(2):
        clock.advance(seconds=1)
        assert (await studies.begin(ctx, study, body)).number == trial.number
        if not again:
            await studies.change(ctx, trial.id, report)
            clock.advance(seconds=1)
            await studies.change(ctx, trial.id, report)
        for end in ends:
            with contextlib.suppress(NotReady):
                await studies.change(ctx, trial.id, end)

    points = {name: (await runs.metric(ctx, trial.run_id, name)).items for name in ("intermediate", "objective")}
    assert [(point.step, point.value) for point in points["intermediate"]] == [(1, 0.9), (2, 0.7)]
    assert [point.value for point in points["objective"]] == [0.5]


async def test_numbers_are_given_once_whoever_asks_at_once(studies: Studies, ctx: Context) -> None:
    """And the same sender asking again has the same trial."""
    study = await begun(studies, ctx)
    ids = [new_id() for _ in range(20)]
    made = await asyncio.gather(*(studies.begin(ctx, study, CreateTrial(run_id=one)) for one in ids))
    again = await studies.begin(ctx, study, CreateTrial(run_id=ids[3]))

    assert sorted(trial.number for trial in made) == list(range(20))
    assert again.number == made[3].number
    assert (await studies.get(ctx, study)).trials == 20


async def test_a_waiting_trial_is_claimed_once(studies: Studies, runs: Runs, ctx: Context) -> None:
    """Of many who want it one has it, also when that one asks again because the answer was lost."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial(state="waiting"))
    assert (await runs.get(ctx, trial.run_id)).status == "scheduled"
    claims = [UpdateTrial(state="running", owner=f"worker {n}") for n in range(8)]
    answers = await asyncio.gather(*(studies.change(ctx, trial.id, claim) for claim in claims))

    won = [n for n, answer in enumerate(answers) if answer.changed]
    assert len(won) == 1
    assert (await studies.change(ctx, trial.id, claims[won[0]])).changed
    assert not (await studies.change(ctx, trial.id, claims[won[0] - 1])).changed
    assert (await runs.get(ctx, trial.run_id)).status == "running"


async def test_an_end_is_decided_once(studies: Studies, ctx: Context) -> None:
    """Whoever comes second is told, and nothing of the trial changes any more."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial())
    ends = [UpdateTrial(state="complete", values=[1.0]), UpdateTrial(state="fail"), UpdateTrial(state="pruned")]
    answers = await asyncio.gather(*(studies.change(ctx, trial.id, end) for end in ends), return_exceptions=True)

    assert sum(isinstance(answer, NotReady) for answer in answers) == 2
    before = await studies.get_trial(ctx, trial.id)
    for late in (UpdateTrial(params={"x": drawn(0.1)}), UpdateTrial(reports=[Report(step=1, value=1.0)]), ends[0]):
        with pytest.raises(NotReady):
            await studies.change(ctx, trial.id, late)
    assert await studies.get_trial(ctx, trial.id) == before


async def test_what_changed_is_what_is_fetched(studies: Studies, ctx: Context) -> None:
    """In the order of the changes, page by page, and nothing is missed."""
    study = await begun(studies, ctx)
    made = [await studies.begin(ctx, study, CreateTrial()) for _ in range(5)]
    first = await studies.changes(ctx, study)
    await studies.change(ctx, made[3].id, UpdateTrial(state="pruned"))
    await studies.change(ctx, made[0].id, UpdateTrial(reports=[Report(step=0, value=1.0)]))

    changed = await studies.changes(ctx, study, after=first.revision)
    assert [trial.number for trial in first.items] == [0, 1, 2, 3, 4]
    assert [trial.number for trial in changed.items] == [3, 0]
    assert (await studies.changes(ctx, study, after=changed.revision)).items == []
    part = await studies.changes(ctx, study, limit=2)
    rest = await studies.changes(ctx, study, after=part.revision)
    assert part.more
    assert [trial.number for trial in part.items + rest.items] == [1, 2, 4, 3, 0]


async def test_a_silent_trial_is_found_when_its_run_is_dead(
    studies: Studies, runs: Runs, ctx: Context, clock: FrozenClock
) -> None:
    """One that promised nothing, and one that was heard of, are not; also one whose program ended its run."""
    study = await begun(studies, ctx)
    silent = await studies.begin(ctx, study, CreateTrial(beat_s=10))
    heard = await studies.begin(ctx, study, CreateTrial(beat_s=10))
    await studies.begin(ctx, study, CreateTrial())
    claimed = await studies.begin(ctx, study, CreateTrial(state="waiting"))
    await studies.change(ctx, claimed.id, UpdateTrial(state="running", owner="a", beat_s=10))
    ended, going_on = [await studies.begin(ctx, study, CreateTrial(beat_s=10)) for _ in range(2)]
    for trial in (ended, going_on):
        await runs.finish(ctx, trial.run_id, FinishRun(status="finished"))
    clock.advance(seconds=31)
    await studies.change(ctx, heard.id, UpdateTrial(reports=[Report(step=0, value=1.0)]))
    await runs.beat(ctx, going_on.run_id, BeatRun(every_s=10))
    await runs.liveness.sweep(clock.now())

    assert await studies.silent(ctx, study) == [silent.id, claimed.id, ended.id]
    for trial in (claimed, ended):
        await studies.change(ctx, trial.id, UpdateTrial(state="fail"))
    await studies.change(ctx, silent.id, UpdateTrial(state="fail", error="silent"))
    assert await studies.silent(ctx, study) == []
    run = await runs.get(ctx, silent.run_id)
    assert (run.status, run.error) == ("failed", "silent")


async def test_the_name_of_a_study_is_taken_once(studies: Studies, ctx: Context) -> None:
    """A deleted one's name is free again, its number is not, and its runs are out of lists."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial(reports=[Report(step=1, value=1.0)]))
    with pytest.raises(NameTaken):
        await begun(studies, ctx)
    await studies.update(ctx, study, UpdateStudy(user_attrs={"a": "1"}, system_attrs={"b": "NaN"}))
    found = await studies.update(ctx, "depths", UpdateStudy(user_attrs={"a": "2"}))
    assert (found.user_attrs, found.system_attrs) == ({"a": "2"}, {"b": "NaN"})
    await studies.delete(ctx, "depths")

    for name in (study, "depths"):
        with pytest.raises(NotFound):
            await studies.get(ctx, name)
    with pytest.raises(NotFound):
        await studies.change(ctx, trial.id, UpdateTrial(state="fail"))
    again = await begun(studies, ctx)
    assert int(again) > int(study)
    assert (await studies.begin(ctx, again, CreateTrial())).id > trial.id


async def test_other_projects_see_neither_study_nor_trial(studies: Studies, ctx: Context) -> None:
    """Neither by name nor by number."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial())
    there = ctx.within("flights")
    for asked in (
        studies.get(there, study),
        studies.begin(there, study, CreateTrial()),
        studies.get_trial(there, trial.id),
        studies.change(there, trial.id, UpdateTrial(state="fail")),
    ):
        with pytest.raises(NotFound):
            await asked


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (UpdateTrial(state="complete", values=[math.inf, 1.0]), BadInput),
        (UpdateTrial(state="complete"), BadInput),
        (UpdateTrial(state="complete", values=["NaN"]), BadInput),
        (UpdateTrial(user_attrs={"a" * 251: "1"}), BadInput),
        (UpdateTrial(user_attrs={"a": "x" * (MAX_ATTR_BYTES + 1)}), TooLarge),
        (UpdateTrial(params={"y": TrialParam(value=1, internal=1.0, distribution="none")}), BadInput),
        (UpdateTrial(params={"x": drawn(0.5, log=True)}), Conflict),
        (UpdateTrial(params={"kind": chosen(0, "b", "a")}), Conflict),
        (UpdateTrial(params={"x": chosen(0, 0.5)}), Conflict),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
async def test_what_cannot_be_leaves_the_trial_as_it_was(
    studies: Studies, ctx: Context, body: UpdateTrial, problem: type[GimbalError]
) -> None:
    """And says where."""
    study = await begun(studies, ctx)
    await studies.begin(ctx, study, CreateTrial(params={"x": drawn(0.2), "kind": chosen(0, "a", "b")}))
    trial = await studies.begin(ctx, study, CreateTrial())
    before = await studies.get_trial(ctx, trial.id)
    with pytest.raises(problem) as caught:
        await studies.change(ctx, trial.id, body)
    assert caught.value.where
    after = await studies.get_trial(ctx, trial.id)
    assert (after.state, after.params, after.values, after.user_attrs) == (
        before.state,
        before.params,
        before.values,
        before.user_attrs,
    )
    # The ends of a range may move.
    await studies.change(ctx, trial.id, UpdateTrial(params={"x": drawn(3.0, high=5.0)}))


async def test_studies_that_cannot_be(studies: Studies, runs: Runs, ctx: Context) -> None:
    """No objective, a zero character, an experiment that was deleted."""
    with pytest.raises(BadInput):
        await studies.create(ctx, CreateStudy(name="a", directions=[]))
    with pytest.raises(BadInput):
        await studies.create(ctx, CreateStudy(name="a\0", directions=["minimize"]))
    study = await begun(studies, ctx)
    await runs.create(ctx, CreateRun(experiment="delay"))
    await runs.set_experiment_stage(ctx, (await runs.experiments.named(ctx, "delay")).key, "deleted")
    with pytest.raises(NotReady):
        await studies.begin(ctx, study, CreateTrial())


async def test_a_run_that_was_taken_out_of_lists_does_not_stop_its_study(
    studies: Studies, runs: Runs, ctx: Context, clock: FrozenClock
) -> None:
    """The trial ends as it did."""
    study = await begun(studies, ctx)
    trial = await studies.begin(ctx, study, CreateTrial(started_at=clock.now() - timedelta(hours=1)))
    await runs.set_stage(ctx, trial.run_id, "deleted")
    await studies.change(ctx, trial.id, UpdateTrial(state="complete", values=[2.0]))
    assert (await studies.get_trial(ctx, trial.id)).values == [2.0]
