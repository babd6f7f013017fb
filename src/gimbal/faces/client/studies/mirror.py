"""What this process knows of trials: all of a study that it asked about, of which only what changed is fetched again."""

import copy
import threading
from collections.abc import Callable

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from gimbal.axis.runs.studies.model import Trial
from gimbal.faces.client.generated.studies import Studies
from gimbal.faces.client.studies.records import frozen, id_of
from gimbal.faces.client.studies.sending import sent

_MOST = 1000


class _Study:
    def __init__(self) -> None:
        self.revision = -1
        self.lock = threading.Lock()
        self.by_number: dict[int, FrozenTrial] = {}
        # What a list of all of them was last time, for those who ask again before anything has changed.
        self.listed: list[FrozenTrial] | None = None


class Mirror:
    """Trials by study. Records that were handed out are never changed: a change makes a new one."""

    def __init__(self, studies: Studies, patience: float) -> None:
        self._remote = studies
        self._patience = patience
        self._lock = threading.RLock()
        self._studies: dict[int, _Study] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._runs: dict[int, str] = {}
        self._revisions: dict[int, int] = {}
        self._own: set[int] = set()
        self._distributions: dict[str, BaseDistribution] = {}

    def learn(self, trial: Trial, *, own: bool = False) -> FrozenTrial:
        """Take a trial as the server told it, unless a newer one is known."""
        with self._lock:
            study = self._studies.setdefault(trial.study, _Study())
            known = study.by_number.get(trial.number)
            if known is not None and self._revisions.get(trial.id, -1) > trial.revision:
                return known
            found = frozen(trial, self._distributions)
            study.by_number[trial.number] = found
            study.listed = None
            self._places[trial.id] = (trial.study, trial.number)
            self._runs[trial.id] = trial.run_id
            self._revisions[trial.id] = trial.revision
            if own:
                self._own.add(trial.id)
            return found

    def own(self, trial_id: int) -> None:
        """Note that this process works on a trial: nobody else changes it but to fail it."""
        with self._lock:
            self._own.add(trial_id)

    def disown(self, trial_id: int) -> None:
        """Note that somebody else changed a trial: it is asked for again."""
        with self._lock:
            self._own.discard(trial_id)

    def note(self, trial_id: int, revision: int, change: Callable[[FrozenTrial], None]) -> None:
        """Change what is known of a trial as the server was told, which made it of this revision."""
        with self._lock:
            place = self._places.get(trial_id)
            if place is None:
                return
            study = self._studies[place[0]]
            changed = copy.copy(study.by_number[place[1]])
            change(changed)
            study.by_number[place[1]] = changed
            study.listed = None
            # An answer that was on its way while this was written does not take it back.
            self._revisions[trial_id] = max(revision, self._revisions.get(trial_id, -1))

    def forget(self, study: int) -> None:
        """Forget a study that was deleted."""
        with self._lock:
            gone = self._studies.pop(study, None)
            for trial in gone.by_number.values() if gone else ():
                for known in (self._places, self._runs, self._revisions):
                    known.pop(id_of(trial), None)
                self._own.discard(id_of(trial))

    def trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial: as it is known when it has ended or is worked on here, asked for otherwise."""
        with self._lock:
            place = self._places.get(trial_id)
            if place is not None:
                known = self._studies[place[0]].by_number[place[1]]
                if known.state.is_finished() or trial_id in self._own:
                    return known
        return self.learn(sent(lambda: self._remote.trial(trial_id), patience=self._patience))

    def run_id(self, trial_id: int) -> str:
        """Return the id of the run that a trial is."""
        if trial_id not in self._runs:
            self.trial(trial_id)
        return self._runs[trial_id]

    def trials(self, study: int) -> list[FrozenTrial]:
        """Return all trials of a study by number."""
        with self._lock:
            mine = self._studies.setdefault(study, _Study())
        with mine.lock:
            more = True
            while more:
                after = mine.revision
                found = sent(
                    lambda: self._remote.trials(str(study), after=after, limit=_MOST),  # noqa: B023 - called at once
                    patience=self._patience,
                )
                for trial in found.items:
                    self.learn(trial)
                mine.revision, more = found.revision, found.more
        with self._lock:
            if mine.listed is None:
                # A trial of this process may be known before one with a smaller number that another began.
                mine.listed = [mine.by_number[number] for number in sorted(mine.by_number)]
            return list(mine.listed)
