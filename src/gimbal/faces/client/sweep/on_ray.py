"""Trials as tasks of a Ray cluster: the same process as here, started where Ray has room."""

import importlib
from collections.abc import Callable
from typing import Any

from gimbal.faces.client.sweep.process import Job, Outcome, Process
from gimbal.kernel.errors import MissingExtra

_LOOK_S = 0.2
_CANCEL_S = 10.0


def _task(job: Job) -> Outcome:
    # When the task is cancelled, what it started ends with it.
    return Process(job).wait(lambda: "")


class RayRunner:
    """Runs jobs on the cluster that RAY_ADDRESS names, or on one of this machine that ends with the sweep."""

    def __init__(self) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise MissingExtra(
                "--on ray needs Ray.", kept="nothing was started", todo="Install it: pip install 'gimbal-ops[ray]'."
            ) from None
        self._ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
        self._start: Any = self._ray.remote(max_retries=0)(_task)

    def run(self, job: Job, stop: Callable[[], str], *, started: Callable[[int], None]) -> Outcome:
        """Run a job where there is room; end it when `stop` says why."""
        task = self._start.remote(job)
        try:
            while not self._ray.wait([task], timeout=_LOOK_S)[0]:
                if why := stop():
                    self._end(task)
                    return Outcome(code=-15, output=b"", why=why)
        except BaseException:
            self._end(task)
            raise
        return self._got(task)

    def _end(self, task: Any) -> None:
        self._ray.cancel(task)
        self._ray.wait([task], timeout=_CANCEL_S)

    def _got(self, task: Any) -> Outcome:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as problem:
            # A node that went away takes its trial with it.
            return Outcome(code=1, output=str(problem).encode())

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()
