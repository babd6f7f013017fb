"""What a trial measured: the metric of its run or, when it logs nothing, of the last line of JSON that it wrote."""

import math
import time

import msgspec
import optuna

from gimbal.faces.client.client import Client
from gimbal.faces.client.sweep.spec import Sweep
from gimbal.kernel.errors import GimbalError

_LOOK_S = 1.0


def measured(client: Client, run_id: str, metrics: list[str], output: bytes) -> tuple[list[float] | None, str]:
    """Return a value per metric, or None and why there is none."""
    known = dict(client.runs.show(run_id).metrics)
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
    """Tells the pruner what the trial's run logs while it runs."""

    def __init__(self, client: Client, run_id: str, sweep: Sweep, trial: optuna.Trial) -> None:
        self._client = client
        self._run_id = run_id
        self._metric = sweep.metrics[0]
        self._trial = trial
        self._on = sweep.pruner != "none"
        self._cursor: str | None = None
        self._seen: set[int] = set()
        self._look_at = time.monotonic() + _LOOK_S

    def bad(self) -> bool:
        """Tell whether the trial is to be stopped; look once a second."""
        if not self._on or time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_S
        return self.told() and self._trial.should_prune()

    def told(self) -> bool:
        """Report what is new; tell whether anything was."""
        if not self._on:
            return False
        try:
            points = list(Client.every(self._client.runs.metric, self._run_id, self._metric))
        except GimbalError:
            # The trial goes on while the server is away.
            return False
        new = [point for point in points if point.step not in self._seen]
        for point in new:
            self._seen.add(point.step)
            self._trial.report(float(point.value), point.step)
        return bool(new)
