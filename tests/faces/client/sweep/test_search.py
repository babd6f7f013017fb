"""A search whose server goes away, whose trials others end, or that is cut off: nothing measured or asked for is lost."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState
from tests.faces.client.sweep.conftest import Place
from tests.links import Cable

import gimbal
from gimbal.faces.client.studies.records import id_of
from gimbal.faces.client.sweep import measuring
from gimbal.faces.client.sweep.process import Job, Outcome
from gimbal.faces.client.sweep.searching import Search
from gimbal.faces.client.sweep.spec import Range, Sweep

GOOD = Outcome(code=0, output=b'{"loss": 0.5}')


class Here:
    """Runs trials as calls of this process."""

    def __init__(self, act: Callable[[str, Callable[[], str]], Outcome]) -> None:
        self._act = act

    def run(self, job: Job, stop: Callable[[], str], *, started: Callable[[int], None]) -> Outcome:
        return self._act(job.environment["GIMBAL_RUN_ID"], stop)

    def close(self) -> None:
        pass


def searched(
    client: gimbal.Client, act: Callable[[str, Callable[[], str]], Outcome], **words: Any
) -> tuple[Search, list[tuple[str, str]]]:
    """Run a search; return it and the rows that it told."""
    rows: list[tuple[str, str]] = []

    def tell(trial: FrozenTrial, why: str) -> None:
        rows.append((trial.state.name.lower(), why))

    given = {"space": {"x": Range(low=0.0, high=1.0)}, "trials": 1, **words}
    search = Search(Sweep(name="depths", metric="loss", command="none", **given), client, Here(act), tell)
    search.run()
    return search, rows


def test_a_result_outlives_a_restart_of_the_server(place: Place, cable: Cable) -> None:
    """With the output."""
    client = gimbal.Client(cable.url, project=place.client.project)

    def act(run_id: str, stop: Callable[[], str]) -> Outcome:
        cable.pull()
        threading.Timer(0.5, cable.plug).start()
        return GOOD

    search, rows = searched(client, act)
    assert rows == [("complete", "")]
    run = search.study.best_trial.user_attrs
    assert run["sweep.process"]["sweep"]
    (made,) = place.client.runs.list().items
    assert b"".join(place.client.runs.artifact(made.id, "output.txt")) == GOOD.output


def test_a_trial_that_others_ended_is_told_and_the_search_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, by what it reports, or when it has ended; steps below 0 are told to nobody."""
    monkeypatch.setattr(measuring, "_LOOK_S", 0)
    client, said = place.client, list[str]()

    def fail(run_id: str) -> None:
        trials = client.studies.trials(str(client.studies.list(name="depths").items[0].number)).items
        (trial,) = (one for one in trials if one.run_id == run_id)
        client.studies.change(trial.id, state="fail")

    def act(run_id: str, stop: Callable[[], str]) -> Outcome:
        place = len(said)
        client.runs.log(run_id, metrics=[{"name": "loss", "value": 1.0, "step": step} for step in (-1, 3)])
        if place == 1:
            fail(run_id)
        said.append(stop())
        if place == 0:
            fail(run_id)
        return GOOD if place != 1 else Outcome(code=-15, output=b"", why=said[1])

    search, rows = searched(client, act, pruner="median", trials=3)
    assert said == ["", "ended from elsewhere", ""]
    assert rows == [("fail", "ended from elsewhere")] * 2 + [("complete", "")]
    assert [trial.intermediate_values for trial in search.study.trials] == [{3: 1.0}, {}, {3: 1.0}]


def test_every_point_of_a_grid_is_tried_however_it_was_cut_off(place: Place) -> None:
    """By a time limit, or killed before it stood in line again; points that are nearly equal are others."""
    outcomes = [Outcome(code=-15, output=b"", why="time limit")]
    grid = {"sampler": "grid", "space": {"x": Range(low=100_000, high=100_002)}, "trials": None}

    def act(run_id: str, stop: Callable[[], str]) -> Outcome:
        return outcomes.pop() if outcomes else GOOD

    search, rows = searched(place.client, act, **grid)
    assert sorted(rows) == [("complete", "")] * 3 + [("fail", "time limit")]
    points = [one.params["x"] for one in search.study.trials if one.state == TrialState.COMPLETE]
    assert sorted(points) == [100_000, 100_001, 100_002]

    # A sweep that was killed right after it had failed what it left behind, and one whose heart nobody hears.
    storage, wider = search._storage, {**grid, "space": {"x": Range(low=100_000, high=100_004)}}
    for point in (100_003, 100_004):
        search.study.enqueue_trial({"x": point})
    first, second = (search.study.ask({"x": IntDistribution(100_000, 100_004)}) for _ in range(2))
    first.set_user_attr("sweep.interrupted", value=True)
    storage.set_trial_state_values(id_of(first), TrialState.FAIL)
    place.client.runs.update(storage.run_id(id_of(second)), status="dead")
    search, rows = searched(place.client, act, **wider)
    assert rows == [("complete", "")] * 2
    assert search.study.trials[id_of(second) - id_of(first) + first.number].state == TrialState.FAIL
