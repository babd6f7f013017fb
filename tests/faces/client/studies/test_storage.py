"""The storage of studies keeps the contract that Optuna's storages have, and finds what they find."""

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from tests.links import Cable

import gimbal
from gimbal.faces.client.studies.sending import sent
from gimbal.kernel.errors import NotReady, Unavailable

UP, DOWN = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
ODD = [0, 1e308, -5e-324, float("inf"), float("-inf"), float("nan"), None, [1, {"a": "ü\0"}], "NaN"]


@pytest.fixture(params=["memory", "gimbal"])
def storage(request: pytest.FixtureRequest) -> BaseStorage:
    """Give Optuna's own storage and ours: what holds of the one holds of the other."""
    if request.param == "memory":
        return InMemoryStorage()
    return gimbal.OptunaStorage(request.getfixturevalue("own"), patience=10)


def now() -> datetime:
    """Return the moment as Optuna has it: local, without a time zone."""
    return datetime.now().astimezone().replace(tzinfo=None)


def same(found: Any, wanted: Any) -> bool:
    return repr(found) == repr(wanted)


def test_studies_are_known_by_name_and_number(storage: BaseStorage) -> None:
    """A name is there once, also an empty one; what is not there raises KeyError."""
    first = storage.create_new_study([DOWN], "one / two")
    second = storage.create_new_study((UP, DOWN), "")
    unnamed = storage.create_new_study([DOWN])

    with pytest.raises(DuplicatedStudyError):
        storage.create_new_study([UP], "one / two")
    assert storage.get_study_id_from_name("one / two") == first
    assert storage.get_study_name_from_id(second) == ""
    assert storage.get_study_directions(second) == [UP, DOWN]
    assert [one._study_id for one in storage.get_all_studies()] == [first, second, unnamed]
    storage.delete_study(second)
    assert [one._study_id for one in storage.get_all_studies()] == [first, unnamed]
    assert storage.create_new_study([DOWN], "") > unnamed
    for call in (storage.get_study_name_from_id, storage.delete_study, storage.create_new_trial, storage.get_n_trials):
        with pytest.raises(KeyError):
            call(unnamed + 1000)
    for name in ("two", "7"):
        with pytest.raises(KeyError):
            storage.get_study_id_from_name(name)


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_attributes_come_back_as_they_were(storage: BaseStorage, value: Any) -> None:
    """Of studies and trials, noted by people or by Optuna; the last one stays, and the two kinds are apart."""
    study = storage.create_new_study([DOWN])
    trial = storage.create_new_trial(study)
    storage.set_study_user_attr(study, "a", 1)
    storage.set_study_user_attr(study, "a", value)
    storage.set_study_system_attr(study, "b", value)
    storage.set_trial_user_attr(trial, "a", value)
    storage.set_trial_system_attr(trial, "b", value)

    found = [
        storage.get_study_user_attrs(study), storage.get_trial(trial).user_attrs,
        storage.get_study_system_attrs(study), storage.get_trial(trial).system_attrs,
    ]  # fmt: skip
    assert [list(one) for one in found] == [["a"], ["a"], ["b"], ["b"]]
    assert all(same(value, kept) for one in found for kept in one.values())


def test_a_trial_goes_its_way(storage: BaseStorage) -> None:
    """It runs, has parameters and reports, ends, and changes no more; what was read before stays as it was."""
    study = storage.create_new_study([DOWN])
    before = now()
    trial = storage.create_new_trial(study)
    fresh = storage.get_trial(trial)
    assert fresh.state == TrialState.RUNNING
    assert before <= (fresh.datetime_start or before) <= now() + timedelta(seconds=1)
    storage.set_trial_param(trial, "z", 0.25, FloatDistribution(0, 1))
    storage.set_trial_param(trial, "a", 1, CategoricalDistribution(("x", None, 2.5)))
    storage.set_trial_param(trial, "n", 4, IntDistribution(1, 64, log=True))
    for step, value in ((0, 1.0), (5, float("nan")), (0, float("inf")), (2**40, -1e300)):
        storage.set_trial_intermediate_value(trial, step, value)
    assert not storage.set_trial_state_values(trial, TrialState.RUNNING)
    assert storage.set_trial_state_values(trial, TrialState.COMPLETE, (float("-inf"),))

    done = storage.get_trial(trial)
    assert list(done.params.items()) == [("z", 0.25), ("a", None), ("n", 4)]
    assert storage.get_trial_param(trial, "a") == 1
    assert {step: repr(value) for step, value in done.intermediate_values.items()} == {
        0: "inf", 5: "nan", 2**40: "-1e+300",
    }  # fmt: skip
    assert done.values == [float("-inf")]
    assert done.datetime_complete is not None
    assert (fresh.params, fresh.state, fresh.intermediate_values) == ({}, TrialState.RUNNING, {})
    late: list[Callable[[], Any]] = [
        lambda: storage.set_trial_param(trial, "q", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_param(trial, "z", 0.5, CategoricalDistribution((1,))),
        lambda: storage.set_trial_user_attr(trial, "a", 1),
        lambda: storage.set_trial_system_attr(trial, "a", 1),
        lambda: storage.set_trial_intermediate_value(trial, 1, 1.0),
        lambda: storage.set_trial_state_values(trial, TrialState.COMPLETE, (1.0,)),
        lambda: storage.set_trial_state_values(trial, TrialState.RUNNING),
    ]
    for call in late:
        with pytest.raises(UpdateFinishedTrialError):
            call()
    assert storage.get_trial(trial) == done
    with pytest.raises(KeyError):
        storage.get_trial(trial + 1000)


def test_distributions_of_one_name_fit_each_other(storage: BaseStorage) -> None:
    """Within a study; ranges may move, kinds and choices may not."""
    study, other = storage.create_new_study([DOWN]), storage.create_new_study([DOWN])
    first, second, third = (storage.create_new_trial(one) for one in (study, study, other))
    storage.set_trial_param(first, "x", 0.5, FloatDistribution(0, 1))
    storage.set_trial_param(first, "c", 0, CategoricalDistribution(("a", "b")))
    storage.set_trial_param(second, "x", 3.0, FloatDistribution(2, 4))
    for name, value, distribution in (
        ("x", 1, IntDistribution(0, 1)),
        ("x", 0.5, FloatDistribution(0.1, 1, log=True)),
        ("c", 0, CategoricalDistribution(("b", "a"))),
    ):
        with pytest.raises(ValueError):
            storage.set_trial_param(second, name, value, distribution)
    storage.set_trial_param(third, "x", 1, IntDistribution(0, 1))
    assert storage.get_trial_params(second) == {"x": 3.0}


def test_a_template_is_kept_whole(storage: BaseStorage) -> None:
    """As it ended or waits, under the next number."""
    study = storage.create_new_study([DOWN])
    storage.create_new_trial(study)
    made: list[FrozenTrial] = [
        create_trial(
            state=TrialState.COMPLETE, value=2.0, params={"x": 1.5}, distributions={"x": FloatDistribution(0, 2)}
        ),
        create_trial(state=TrialState.PRUNED, intermediate_values={3: 0.1}, user_attrs={"a": [1]}),
        create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"x": 1.0}}),
    ]
    for number, template in enumerate(made, start=1):
        found = storage.get_trial(storage.create_new_trial(study, template))
        assert found.number == number
        found.number, found._trial_id = template.number, template._trial_id
        assert found == template
    assert storage.get_n_trials(study, (TrialState.WAITING, TrialState.PRUNED)) == 2
    assert storage.get_best_trial(study).value == 2.0


def test_two_storages_see_what_the_other_does(own: gimbal.Client) -> None:
    """Also one that was sent to another process; a waiting trial goes to one of many."""
    one = gimbal.OptunaStorage(own)
    two: gimbal.OptunaStorage = pickle.loads(pickle.dumps(one))
    study = one.create_new_study([DOWN], "shared")
    assert two.get_study_id_from_name("shared") == study
    mine, theirs = one.create_new_trial(study), two.create_new_trial(study)
    one.set_trial_intermediate_value(mine, 1, 0.5)
    assert [trial.intermediate_values for trial in two.get_all_trials(study)] == [{1: 0.5}, {}]
    two.set_trial_state_values(mine, TrialState.FAIL)
    assert [trial.state for trial in one.get_all_trials(study)] == [TrialState.FAIL, TrialState.RUNNING]
    with pytest.raises(UpdateFinishedTrialError):
        one.set_trial_intermediate_value(mine, 2, 0.5)
    assert one.get_trial_number_from_id(theirs) == 1

    waiting = one.create_new_trial(study, create_trial(state=TrialState.WAITING))
    won: list[bool] = []
    claims = [
        threading.Thread(target=lambda who=who: won.append(who.set_trial_state_values(waiting, TrialState.RUNNING)))
        for who in (one, two, one, two)
    ]
    for claim in claims:
        claim.start()
    for claim in claims:
        claim.join()
    assert sorted(won) == [False, False, False, True]


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]], ids=["one", "two"])
def test_the_same_search_gives_the_same_trials(own: gimbal.Client, directions: list[str]) -> None:
    """TPE with a seed and a pruner asks the same of ours as of Optuna's own; a loaded study goes on the same."""

    def objective(trial: optuna.Trial) -> Any:
        x = trial.suggest_float("x", -3, 3)
        eta = trial.suggest_float("eta", 1e-4, 1, log=True)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        trial.set_user_attr("kind", kind)
        if len(directions) == 2:
            return x**2, eta
        for step in range(2):
            trial.report(x**2 + eta / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x**2 + (kind == "a")

    def trials(storage: BaseStorage) -> list[Any]:
        for _ in range(2):
            study = optuna.create_study(
                storage=storage, study_name="same", directions=directions, load_if_exists=True,
                sampler=optuna.samplers.TPESampler(seed=7, n_startup_trials=5),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
            )  # fmt: skip
            study.optimize(objective, n_trials=9)
        return [
            (one.number, one.state, one.values, one.params, one.distributions, one.intermediate_values, one.user_attrs)
            for one in study.trials
        ]

    found = trials(gimbal.OptunaStorage(own))
    assert found == trials(InMemoryStorage())
    study = own.studies.list(name="same").items[0]
    run = own.runs.show(own.studies.trials(str(study.number)).items[0].run_id)
    assert run.params == found[0][3]
    assert run.group == "same"


_WORKER = """
import sys, optuna, gimbal
study = optuna.load_study(study_name="workers", storage=gimbal.OptunaStorage())
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if sys.argv[1] == "hang":
        print("hangs", flush=True)
        sys.stdin.read()
    return x
study.optimize(objective, n_trials=8)
"""


def test_processes_share_a_study_also_when_one_is_killed(own: gimbal.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number is there once; the trial of the killed one is failed when it is known to be dead, and tried again."""
    storage = gimbal.OptunaStorage(own, stale_callback=RetryHeartbeatStaleTrialCallback(max_retry=1))
    study = optuna.create_study(storage=storage, study_name="workers")
    monkeypatch.setenv("GIMBAL_URL", own.transport.url)
    monkeypatch.setenv("GIMBAL_PROJECT", own.project)
    hung = subprocess.Popen(
        [sys.executable, "-c", _WORKER, "hang"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert hung.stdout is not None
    hung.stdout.readline()
    workers = [subprocess.Popen([sys.executable, "-c", _WORKER, "work"], stderr=subprocess.DEVNULL) for _ in range(3)]
    hung.send_signal(signal.SIGKILL)
    hung.communicate()
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]

    trials = study.trials
    assert [trial.number for trial in trials] == list(range(25))
    assert [trial.state for trial in trials].count(TrialState.COMPLETE) == 24
    (left,) = (trial for trial in trials if trial.state == TrialState.RUNNING)
    # What the server does when it was silent for too long.
    run = own.studies.trial(left._trial_id).run_id
    own.runs.update(run, status="dead")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study.trials[left.number].state == TrialState.FAIL
    assert study.trials[25].state == TrialState.COMPLETE
    assert own.runs.show(run).status == "failed"


def test_a_heart_beats_on_when_the_server_was_away(own: gimbal.Client, cable: Cable) -> None:
    """Whoever says that a trial is worked on is not stopped by it: Optuna's thread would end, and the trial with it."""
    storage = gimbal.OptunaStorage(gimbal.Client(cable.url, project=own.project), patience=0)
    study = storage.create_new_study([DOWN])
    trial = storage.create_new_trial(study, create_trial(state=TrialState.WAITING))
    storage.set_trial_state_values(trial, TrialState.RUNNING)
    cable.pull()
    storage.record_heartbeat(trial)
    with pytest.raises(Unavailable):
        storage.set_trial_user_attr(trial, "a", 1)


def test_what_the_network_lost_is_asked_again() -> None:
    """Until it is answered, or for as long as patience lasts; a refusal of a repeated call may mean that it is done."""
    answers: list[Any] = [Unavailable("away"), Unavailable("away"), "there"]

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert sent(call, patience=10) == "there"
    answers = [Unavailable("away"), NotReady("ended")]
    assert sent(call, patience=10, done=lambda problem: str(problem.message)) == "ended"
    answers = [NotReady("ended")]
    with pytest.raises(NotReady):
        sent(call, patience=10, done=str)
    answers = [Unavailable("away")]
    with pytest.raises(Unavailable):
        sent(call, patience=0)


def test_the_callback_makes_runs_of_trials_kept_elsewhere(own: gimbal.Client) -> None:
    """With parameters, reports, values and how it ended; told twice it is one run."""

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 1)
        if trial.number == 1:
            raise optuna.TrialPruned
        return x

    study = optuna.create_study(study_name="mine")
    told = gimbal.OptunaCallback("loss", client=own)
    study.optimize(objective, n_trials=3, callbacks=[told])
    told(study, study.trials[0])

    runs = {run.tags["trial"]: run for run in own.runs.list().items}
    assert sorted(runs) == ["0", "1", "2"]
    assert runs["0"].params == study.trials[0].params
    assert runs["0"].metrics == {"loss": study.trials[0].value, "intermediate": study.trials[0].value}
    assert [runs[n].tags["trial.state"] for n in "012"] == ["complete", "pruned", "complete"]
    assert {run.group for run in runs.values()} == {"mine"}
