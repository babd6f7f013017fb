"""What a trial measured: the metric of its run or, when it logs nothing, of the last line of JSON that it wrote."""

import math
import time

import msgspec
import optuna

from gimbal.faces.client.client import Client
from gimbal.faces.client.studies.records import id_of
from gimbal.faces.client.studies.sending import AWAY, PATIENCE_S, sent
from gimbal.faces.client.studies.storage import OptunaStorage
from gimbal.faces.client.sweep.spec import Sweep

_LOOK_S = 1.0
_PAGE = 1000


def measured(client: Client, run_id: str, metrics: list[str], output: bytes) -> tuple[list[float] | None, str]:
    """Return a value per metric, or None and why there is none."""
    known = dict(sent(lambda: client.runs.show(run_id), patience=PATIENCE_S).metrics)
    missing = [name for name in metrics if name not in known]
    if missing:
        written = _written(output)
        known |= {name: written[name] for name in missing if name in written}
        missing = [name for name in metrics if name not in known]
    if missing:
        return None, f"no metric {missing[0]!r}"
    values = [float(known[name]) for name in metrics]
    if any(math.isnan(value) for value in values):
        return None, "the metric is no number (NaN)"
    return values, ""


def _written(output: bytes) -> dict[str, float]:
    """Return the numbers of the last line that is a JSON object."""
    for line in reversed(output.splitlines()):
        if line.strip().startswith(b"{"):
            try:
                tree = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            return {
                name: float(value)
                for name, value in tree.items()
                if isinstance(value, float | int) and not isinstance(value, bool)
            }
    return {}


class Reports:
    """Tells the pruner what the trial's run logs while it runs.

    A look takes one page of points and tells them in one request, so that it is soon over. Steps are told in their order:
    one below 0, or not above the last that was told, is left out.
    """

    def __init__(self, client: Client, storage: OptunaStorage, run_id: str, sweep: Sweep, trial: optuna.Trial) -> None:
        self._client = client
        self._storage = storage
        self._run_id = run_id
        self._metric = sweep.metrics[0]
        self._trial = trial
        self._on = sweep.pruner != "none"
        self._cursor: str | None = None
        self._last = -1
        self._look_at = time.monotonic() + _LOOK_S

    def bad(self) -> bool:
        """Tell whether the trial is to be stopped; look once a second, and at once where there is more to read.

        Raise UpdateFinishedTrialError when somebody else has ended it.
        """
        if not self._on or time.monotonic() < self._look_at:
            return False
        told, more = self._look(patience=0)
        self._look_at = time.monotonic() + (0 if more else _LOOK_S)
        study = self._trial.study
        return told and study.pruner.prune(study, self._storage.get_trial(id_of(self._trial)))

    def rest(self) -> None:
        """Tell what is left: trials that come later are compared with all that this one logged."""
        more = self._on
        while more:
            _, more = self._look(patience=PATIENCE_S)

    def _look(self, *, patience: float) -> tuple[bool, bool]:
        """Tell what is new; return whether anything was, and whether there is more."""
        try:
            page = sent(
                lambda: self._client.runs.metric(self._run_id, self._metric, cursor=self._cursor, limit=_PAGE),
                patience=patience,
            )
            new = {point.step: float(point.value) for point in page.items if point.step > self._last}
            if new:
                self._storage.report(id_of(self._trial), new, patience=patience)
                self._last = max(new)
        except AWAY:
            # The trial goes on while the server is away.
            return False, False
        # Only what is behind a full page has a place: the last page is read again.
        self._cursor = page.next or self._cursor
        return bool(new), page.next is not None
