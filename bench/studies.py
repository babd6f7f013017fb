"""Trials a second of a search: our storage over HTTP beside Optuna's own on SQLite, with the same sampler and objective.

Ours answers each write when it is durable on the server, and makes each trial a run; Optuna's writes one file by itself.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import optuna

import gimbal
from bench.bar import Figure, gimbal_up

TRIALS = 100


def _objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    n = trial.suggest_int("n", 1, 10)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report(x * x + n / (step + 1), step)
    return x * x + n * (kind == "a")


def rate(storage: optuna.storages.BaseStorage) -> float:
    """Return trials a second of one worker, after a study that is not counted."""
    for trials in (10, TRIALS):
        study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
        begun = time.perf_counter()
        study.optimize(_objective, n_trials=trials)
        took = time.perf_counter() - begun
    return TRIALS / took


def figures() -> Iterator[Figure]:
    """Measure both, one after the other."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        beside = rate(optuna.storages.RDBStorage(f"sqlite:///{Path(folder) / 'optuna.sqlite'}"))
    with gimbal_up() as up, gimbal.Client(up.url) as client:
        ours = rate(gimbal.OptunaStorage(client))
    against = f"optuna's SQLite storage, {beside:.1f}/s"
    yield Figure("studies: trials of one worker", ours, "/s", beside, against, lower_is_better=False)
