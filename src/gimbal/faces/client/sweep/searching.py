"""Runs a sweep: asks Optuna for parameters, runs trials with them, tells what came out, until it is enough.

Everything stands on the server as it happens. A sweep that was killed goes on by its name: trials that it left behind
are ended, failed as interrupted, and put in line again with the same parameters.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from gimbal.faces.client.client import Client
from gimbal.faces.client.studies.records import id_of
from gimbal.faces.client.studies.sending import PATIENCE_S, sent
from gimbal.faces.client.studies.storage import OptunaStorage
from gimbal.faces.client.sweep import drawing
from gimbal.faces.client.sweep.measuring import Reports, measured
from gimbal.faces.client.sweep.process import Job, Outcome, Process, end_group, is_at_work, started_at
from gimbal.faces.client.sweep.spec import Sweep
from gimbal.faces.client.sweep.words import job_of
from gimbal.kernel.errors import Conflict, GimbalError

_log = logging.getLogger(__name__)
HEARTBEAT_S = 20
_PLACE = "sweep.process"
_MOST_SAID = 200
_INTERRUPTED = "sweep.interrupted"
_ELSEWHERE = "ended from elsewhere"
# Hearts beat here, too.
warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed")
optuna.logging.set_verbosity(optuna.logging.WARNING)
Tell = Callable[[FrozenTrial, str], None]


class Runner(Protocol):
    """Where jobs run."""

    def run(self, job: Job, stop: Callable[[], str], *, started: Callable[[int], None]) -> Outcome:
        """Run a job until it ends, or until `stop` says why it shall; tell the id of its process, if it is one of here."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class LocalRunner:
    """Runs jobs as processes of this machine."""

    def __init__(self) -> None:
        self._running: set[int] = set()

    def run(self, job: Job, stop: Callable[[], str], *, started: Callable[[int], None]) -> Outcome:
        """Run a job."""
        process = Process(job)
        self._running.add(process.pid)
        try:
            started(process.pid)
            return process.wait(stop)
        except BaseException:
            process.end()
            raise
        finally:
            self._running.discard(process.pid)

    def close(self) -> None:
        """End what runs yet: nothing does, but when nobody waited for it to stop."""
        for pid in list(self._running):
            end_group(pid)


class Search:
    """One sweep of this process."""

    def __init__(self, sweep: Sweep, client: Client, runner: Runner, tell: Tell) -> None:
        self._sweep = sweep
        self._client = client
        self._runner = runner
        self._tell = tell
        self._storage = OptunaStorage(client, experiment=sweep.experiment, heartbeat_s=HEARTBEAT_S)
        self._space = drawing.distributions(sweep)
        self.study = self._opened()
        self.number = self._storage.get_study_id_from_name(sweep.name)
        """The study's number on the server."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._until = None if sweep.time_s is None else time.monotonic() + sweep.time_s
        self._problems: list[Exception] = []

    def _opened(self) -> optuna.Study:
        study = optuna.create_study(
            study_name=self._sweep.name,
            storage=self._storage,
            sampler=drawing.sampler(self._sweep),
            pruner=drawing.pruner(self._sweep),
            directions=list(self._sweep.goals),
            load_if_exists=True,
        )
        goals = [direction.name.lower() for direction in study.directions]
        known = study.user_attrs.get("sweep.metrics", self._sweep.metrics)
        if goals != self._sweep.goals or known != self._sweep.metrics:
            raise Conflict(
                f"The study {self._sweep.name!r} is there already, for {', '.join(map(str, known))} ({', '.join(goals)}).",
                where="name",
                kept="that study, and nothing was started",
                todo="Choose another name, or the metrics and goals of that one.",
            )
        study.set_user_attr("sweep.metrics", self._sweep.metrics)
        return study

    def run(self) -> None:
        """Run trials until it is enough; raise what no trial can be blamed for."""
        self._take_over()
        self._put_in_line()
        # Not `Thread.join`: interrupted by Ctrl-C it may take a thread for ended that is not.
        ended = [threading.Event() for _ in range(self._sweep.concurrency)]
        for one in ended:
            threading.Thread(target=self._work, args=(one,), daemon=True).start()
        try:
            for one in ended:
                one.wait()
        except KeyboardInterrupt:
            self._stop.set()
            for one in ended:
                one.wait()
            raise
        finally:
            self._runner.close()
        if self._problems:
            raise self._problems[0]

    def _take_over(self) -> None:
        """End what a sweep of this name left behind on this machine, and put it in line again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            place: dict[str, Any] = trial.user_attrs.get(_PLACE, {})
            if place.get("host") != socket.gethostname() or is_at_work(
                place.get("sweep", 0), place.get("sweep_at", "")
            ):
                # Of another machine, or of a sweep that is at work: hearts tell.
                continue
            pid = int(place.get("pid", 0))
            if is_at_work(pid, place.get("pid_at", "")):
                end_group(pid)
            self._again(trial)

    def _again(self, trial: FrozenTrial) -> None:
        """Fail a trial that nobody works on, and put it in line again."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(id_of(trial), _INTERRUPTED, value=True)
            self._storage.set_trial_state_values(id_of(trial), TrialState.FAIL)
            self.study.enqueue_trial(_wanted(trial))

    def _put_in_line(self) -> None:
        """Put every point of the grid in line that no trial stands for; an interrupted one stands for none."""
        if self._sweep.sampler != "grid":
            return
        there = {_point(_wanted(trial)) for trial in self.study.get_trials(deepcopy=False) if not _interrupted(trial)}
        for point in drawing.grid(self._sweep):
            if _point(point) not in there:
                self.study.enqueue_trial(point)

    def _next(self) -> optuna.Trial | None:
        with self._lock:
            if self._stop.is_set() or (self._until is not None and time.monotonic() > self._until):
                return None
            for trial_id in self._storage.silent(self.number):
                self._again(self._storage.get_trial(trial_id))
            trials = self.study.get_trials(deepcopy=False)
            waiting = sum(trial.state == TrialState.WAITING for trial in trials)
            begun = sum(not _interrupted(trial) for trial in trials) - waiting
            if begun >= self._sweep.most or (self._sweep.sampler == "grid" and not waiting):
                return None
            # One after the other: with a seed, and one at a time, what is drawn is the same again.
            return self.study.ask(self._space)

    def _work(self, ended: threading.Event) -> None:
        try:
            while (trial := self._next()) is not None:
                self._one(trial)
        except Exception as problem:  # noqa: BLE001 - raised again where the sweep is waited for
            self._problems.append(problem)
            self._stop.set()
        finally:
            ended.set()

    def _one(self, trial: optuna.Trial) -> None:
        run_id = self._storage.run_id(id_of(trial))
        reports = Reports(self._client, self._storage, run_id, self._sweep, trial)
        place = {"host": socket.gethostname(), "sweep": os.getpid(), "sweep_at": started_at(os.getpid())}
        beat_at = time.monotonic() + HEARTBEAT_S

        def stop() -> str:
            nonlocal beat_at
            if self._stop.is_set():
                return "interrupted"
            if self._until is not None and time.monotonic() > self._until:
                return "time limit"
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_S
                self._storage.record_heartbeat(id_of(trial))
            try:
                return "pruned" if reports.bad() else ""
            except optuna.exceptions.UpdateFinishedTrialError:
                return _ELSEWHERE

        def started(pid: int) -> None:
            trial.set_user_attr(_PLACE, {**place, "pid": pid, "pid_at": started_at(pid)})

        try:
            # Before there is a process: a cluster tells none, and a sweep may be killed before it does.
            trial.set_user_attr(_PLACE, place)
            outcome = self._runner.run(job_of(self._sweep, self._client, run_id, trial.params), stop, started=started)
            self._keep_output(trial, run_id, outcome.output)
            if not outcome.why:
                reports.rest()
            why = self._end(trial, run_id, outcome)
        except optuna.exceptions.UpdateFinishedTrialError:
            why = _ELSEWHERE
        self._tell(self._storage.get_trial(id_of(trial)), why)

    def _keep_output(self, trial: optuna.Trial, run_id: str, output: bytes) -> None:
        if not output:
            return
        try:
            sent(lambda: self._client.runs.artifact_put(run_id, "output.txt", output), patience=PATIENCE_S)
        except GimbalError as problem:
            # What was measured counts all the same.
            _log.warning("What trial %s wrote is not kept: %s", trial.number, problem)

    def _end(self, trial: optuna.Trial, run_id: str, outcome: Outcome) -> str:
        """Tell how a trial ended; return why, where there is something to say."""
        values, why = None, outcome.why
        if not why and outcome.code:
            why = f"exit code {outcome.code}" if outcome.code > 0 else f"killed by signal {-outcome.code}"
            why = ": ".join(filter(None, (why, _last_line(outcome.output))))
        if not why:
            values, why = measured(self._client, run_id, self._sweep.metrics, outcome.output)
        state = TrialState.COMPLETE if values is not None else TrialState.PRUNED if why == "pruned" else TrialState.FAIL
        cut = why in {"interrupted", "time limit"}
        if cut:
            trial.set_user_attr(_INTERRUPTED, value=True)
        elif why:
            trial.set_user_attr("sweep.why", why)
        if self.study.tell(trial, values, state, skip_if_finished=True).state != state:
            return _ELSEWHERE
        if cut:
            self.study.enqueue_trial(dict(trial.params))
        return why


def best(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return the best trials: one, or for several objectives those that no other beats in all of them; none at first."""
    return study.best_trials


def _last_line(output: bytes) -> str:
    """Return the last line that a trial wrote: of a program that failed it mostly says why."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:_MOST_SAID] if lines else ""


def _interrupted(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(_INTERRUPTED))


def _wanted(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a trial was put in line with, or else those that were drawn for it."""
    return dict(trial.system_attrs.get("fixed_params", trial.params))


def _point(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
