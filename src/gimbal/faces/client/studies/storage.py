"""An Optuna storage on the server: `optuna.create_study(storage=gimbal.OptunaStorage(), ...)`.

Trials are runs in the group of their study. Every write is answered when it is durable; what is read is what all workers
wrote, of which only what changed is fetched. The contract is Optuna's `BaseStorage` (version 5).
"""

import contextlib
import copy
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import Study as OptunaStudy
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from gimbal.axis.runs.studies.model import Changed, Study, Trial
from gimbal.faces.client.client import Client
from gimbal.faces.client.studies.mirror import Mirror
from gimbal.faces.client.studies.records import (
    STATES,
    attr_text,
    attrs_of,
    directions_of,
    local,
    moment_of,
    param_of,
    reports_of,
    study_directions,
    values_of,
)
from gimbal.faces.client.studies.sending import AWAY, PATIENCE_S, sent
from gimbal.kernel.errors import Conflict, GimbalError, NameTaken, NotFound, NotReady
from gimbal.kernel.ids import new_id

StaleCallback = Callable[[OptunaStudy, FrozenTrial], None]


class OptunaStorage(BaseStorage, BaseHeartbeat):
    """Keeps studies in a project of a Gimbal server.

    Threads and processes may share a study; a copy of the storage that is sent to another process connects anew. While
    the server is away a call waits for `patience` seconds, then raises Unavailable; what was answered before is kept.

    Args:
        client: Another server or project than the environment names.
        experiment: Where the runs of trials of new studies are.
        heartbeat_s: Every how many seconds a running trial says that it lives; one that is silent for three times that
            is failed by the next worker that begins a trial. None for never.
        stale_callback: What Optuna calls with each trial that was failed for that: RetryHeartbeatStaleTrialCallback, say.
        patience: For how many seconds a call is repeated while the server does not answer.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        experiment: str = "default",
        heartbeat_s: int | None = 60,
        stale_callback: StaleCallback | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        self._client = client or Client()
        self._experiment = experiment
        self._heartbeat_s = heartbeat_s
        self._stale_callback = stale_callback
        self._patience = patience
        self._lock = threading.RLock()
        self._studies: dict[int, Study] = {}
        self._mirror = Mirror(self._client.studies, patience)
        self._begun: dict[int, float] = {}
        self._looked: dict[int, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to make the same storage."""
        to = self._client.transport
        kept = ("_experiment", "_heartbeat_s", "_stale_callback", "_patience")
        return {name: self.__dict__[name] for name in kept} | {"to": (to.url, to.key, to.project)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Connect anew."""
        self.__init__(
            Client(*state["to"]),
            experiment=state["_experiment"],
            heartbeat_s=state["_heartbeat_s"],
            stale_callback=state["_stale_callback"],
            patience=state["_patience"],
        )

    # Studies.

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Begin a study; raise DuplicatedStudyError when there is one of this name.

        A name that is there when the request is repeated, because its answer was lost, counts as taken, too.
        """
        name = f"no-name-{uuid.uuid4()}" if study_name is None else study_name
        words = directions_of(directions)
        try:
            made = sent(
                lambda: self._client.studies.create(name=name, directions=words, experiment=self._experiment),
                patience=self._patience,
            )
        except NameTaken as problem:
            raise DuplicatedStudyError(f"Another study with name '{name}' already exists.") from problem
        with self._lock:
            self._studies[made.number] = made
        return made.number

    def delete_study(self, study_id: int) -> None:
        """Delete a study; the runs of its trials go out of lists and can be restored."""
        # Its number is never given again: what a repeated request does not find, the first one deleted.
        self._asked(
            lambda: self._client.studies.delete(str(study_id)),
            done=lambda problem: isinstance(problem, NotFound) or None,
        )
        with self._lock:
            self._studies.pop(study_id, None)
            self._mirror.forget(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Note something with a study."""
        self._asked(lambda: self._client.studies.update(str(study_id), user_attrs={key: attr_text(value)}))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep what Optuna notes with a study."""
        self._asked(lambda: self._client.studies.update(str(study_id), system_attrs={key: attr_text(value)}))

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the number of a study; raise KeyError."""
        found = self._asked(lambda: self._client.studies.list(name=study_name)).items
        if not found:
            raise KeyError(f"No such study {study_name!r}.")
        return found[0].number

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of a study; raise KeyError."""
        return self._known(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions of a study; raise KeyError."""
        return study_directions(self._known(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what was noted with a study; raise KeyError."""
        return attrs_of(self._asked(lambda: self._client.studies.show(str(study_id))).user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Optuna noted with a study; raise KeyError."""
        return attrs_of(self._asked(lambda: self._client.studies.show(str(study_id))).system_attrs)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies of the project by number."""
        found = self._asked(lambda: list(self._client.every(self._client.studies.list, limit=500)))
        return [
            FrozenStudy(
                study_name=one.name,
                direction=None,
                directions=study_directions(one),
                user_attrs=attrs_of(one.user_attrs),
                system_attrs=attrs_of(one.system_attrs),
                study_id=one.number,
            )
            for one in sorted(found, key=lambda one: one.number)
        ]

    # Trials, written.

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begin a trial with the next number, or keep one that is given; raise KeyError."""
        body: dict[str, Any] = {"run_id": new_id(), "owner": _me()}
        if template_trial is None or not template_trial.state.is_finished():
            body["beat_s"] = self._heartbeat_s
        if template_trial is not None:
            one = template_trial
            body |= {
                "state": STATES[one.state],
                "values": values_of(one.values),
                "params": {
                    name: param_of(one.distributions[name].to_internal_repr(value), one.distributions[name])
                    for name, value in one.params.items()
                },
                "reports": reports_of(one.intermediate_values),
                "user_attrs": {name: attr_text(value) for name, value in one.user_attrs.items()},
                "system_attrs": {name: attr_text(value) for name, value in one.system_attrs.items()},
                "started_at": moment_of(one.datetime_start),
                "ended_at": moment_of(one.datetime_complete),
            }
        made: Trial = self._asked(lambda: self._client.studies.begin(str(study_id), **body))
        self._mirror.learn(made, own=made.state == "running")
        if made.state == "running":
            with self._lock:
                self._begun[made.id] = time.monotonic()
        return made.id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Keep a parameter; raise ValueError for a distribution that does not fit those before."""
        param = param_of(param_value_internal, distribution)
        done = self._change(trial_id, params={param_name: param})

        def note(trial: FrozenTrial) -> None:
            trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
            trial.distributions = {**trial.distributions, param_name: distribution}

        self._mirror.note(trial_id, done.revision, note)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Claim or end a trial; return False when somebody else has claimed it. Raise UpdateFinishedTrialError."""
        words: dict[str, Any] = {"state": STATES[state], "owner": _me(), "values": values_of(values)}
        if state == TrialState.RUNNING:
            words["beat_s"] = self._heartbeat_s
        done: Changed = self._change(trial_id, **words)

        def note(trial: FrozenTrial) -> None:
            trial.state = state
            if values is not None:
                trial.values = list(values)
            trial.datetime_start = local(done.started_at)
            trial.datetime_complete = local(done.ended_at)

        if done.changed:
            self._mirror.note(trial_id, done.revision, note)
            if state == TrialState.RUNNING:
                self._mirror.own(trial_id)
        return done.changed

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Keep what an objective reports while it runs; the last of a step stays."""
        self.report(trial_id, {step: intermediate_value})

    def report(self, trial_id: int, values: Mapping[int, float], *, patience: float | None = None) -> None:
        """Keep intermediate values by step in one request; `patience` is instead of the storage's."""
        # The moment is the same however often the request is sent, so that the points are the same, too.
        done = self._change(trial_id, patience, reports=reports_of(values), at=datetime.now(UTC))

        def note(trial: FrozenTrial) -> None:
            trial.intermediate_values = {**trial.intermediate_values, **values}

        self._mirror.note(trial_id, done.revision, note)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something with a trial; it is a tag of its run, too."""
        done = self._change(trial_id, user_attrs={key: attr_text(value)})

        def note(trial: FrozenTrial) -> None:
            trial.user_attrs = {**trial.user_attrs, key: value}

        self._mirror.note(trial_id, done.revision, note)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep what Optuna notes with a trial."""
        done = self._change(trial_id, system_attrs={key: attr_text(value)})

        def note(trial: FrozenTrial) -> None:
            trial.system_attrs = {**trial.system_attrs, key: value}

        self._mirror.note(trial_id, done.revision, note)

    # Trials, read.

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial; raise KeyError."""
        return self._keyed(lambda: self._mirror.trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study by number; raise KeyError."""
        found = self._keyed(lambda: self._mirror.trials(study_id))
        if states is not None:
            found = [trial for trial in found if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def run_id(self, trial_id: int) -> str:
        """Return the id of the run that a trial is; raise KeyError."""
        return self._keyed(lambda: self._mirror.run_id(trial_id))

    # Heartbeats.

    def record_heartbeat(self, trial_id: int) -> None:
        """Say that a trial is worked on; its beginning was heard already. A server that is away hears the next time."""
        now = time.monotonic()
        with self._lock:
            begun = self._begun.pop(trial_id, None)
        if begun is not None and now - begun < (self._heartbeat_s or 0):
            return
        run = self.run_id(trial_id)
        with contextlib.suppress(*AWAY):
            self._keyed(lambda: self._client.runs.beat(run, every_s=self._heartbeat_s))

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return self.silent(study_id)

    def silent(self, study_id: int) -> list[int]:
        """Return the ids of running trials that nobody is heard of; none when it was asked a heartbeat ago."""
        # Asked before each trial; nobody falls silent more often than hearts beat.
        now = time.monotonic()
        with self._lock:
            if now - self._looked.get(study_id, -math.inf) < (self._heartbeat_s or 0):
                return []
            self._looked[study_id] = now
        return self._asked(lambda: self._client.studies.silent(str(study_id)))

    def get_heartbeat_interval(self) -> int | None:
        """Return every how many seconds a running trial says that it lives."""
        return self._heartbeat_s

    def get_heartbeat_stale_trial_callback(self) -> StaleCallback | None:
        """Return what is called with a trial that was failed because it was silent."""
        return self._stale_callback

    # How it is asked.

    def _known(self, study_id: int) -> Study:
        """Return a study whose name and directions are asked, which never change."""
        with self._lock:
            found = self._studies.get(study_id)
        if found is None:
            found = self._asked(lambda: self._client.studies.show(str(study_id)))
            with self._lock:
                self._studies[study_id] = found
        return found

    def _change(self, trial_id: int, patience: float | None = None, **words: Any) -> Changed:
        def repeated(problem: GimbalError) -> Changed | None:
            # The first attempt may have ended the trial before its answer was lost.
            state = words.get("state")
            if not isinstance(problem, NotReady) or state not in {"complete", "pruned", "fail"}:
                return None
            now = self._client.studies.trial(trial_id)
            same = now.state == state and (
                words["values"] is None or now.values == msgspec.to_builtins(words["values"])
            )
            times = {"started_at": now.started_at, "ended_at": now.ended_at}
            return Changed(changed=True, revision=now.revision, **times) if same else None

        def call() -> Changed:
            waits = self._patience if patience is None else patience
            return sent(lambda: self._client.studies.change(trial_id, **words), patience=waits, done=repeated)

        try:
            return self._keyed(call)
        except NotReady as problem:
            # Somebody else ended it: how, is asked the next time.
            self._mirror.disown(trial_id)
            raise UpdateFinishedTrialError(problem.message) from problem
        except Conflict as problem:
            raise ValueError(str(problem)) from problem

    def _asked(self, call: Callable[[], Any], done: Callable[[GimbalError], Any] | None = None) -> Any:
        return self._keyed(lambda: sent(call, patience=self._patience, done=done))

    def _keyed(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except NotFound as problem:
            raise KeyError(problem.message) from problem


def _me() -> str:
    """Return who asks, anew for each request: the same one that comes twice is known by it."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{new_id()}"
