"""Tracked runs from a script: `with gimbal.run("name") as run: run.log(...)`.

Logging does not wait for the network: a thread sends what has come together, in order, as one request at a time. The
end of the run waits until everything is stored, and an error of a send is raised at the next call.
"""

import contextvars
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gimbal.axis.runs.model import Artifact, LogMetric, to_wire
from gimbal.faces.client.client import Client, default_client
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.errors import BadInput, GimbalError, NotReady

_current: contextvars.ContextVar["ActiveRun | None"] = contextvars.ContextVar("gimbal_run", default=None)
_MOST_WAITING = 100_000
_MOST_PER_REQUEST = 20_000


class ActiveRun:
    """A run that is under way; made by `gimbal.run`."""

    def __init__(self, client: Client, run_id: str, name: str) -> None:
        self.client = client
        self.id = run_id
        self.name = name
        self._waiting: list[LogMetric] = []
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._condition = threading.Condition()
        self._sending = False
        self._ended = False
        self._error: GimbalError | None = None
        self._thread = threading.Thread(target=self._send_all, name=f"gimbal-run-{run_id}", daemon=True)
        self._thread.start()

    def log(
        self,
        metrics: Mapping[str, float] | None = None,
        *,
        step: int = 0,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Note metrics at a step, parameters and tags; they are sent at once, in the background."""
        at = SystemClock().now()
        points = [LogMetric(name=k, value=to_wire(float(v)), step=step, at=at) for k, v in (metrics or {}).items()]
        with self._condition:
            self._raise_error()
            if self._ended:
                raise NotReady("The run has ended.", where=self.id, todo="Start another with gimbal.run.")
            # A sender far ahead of the network waits here: its memory stays bounded and nothing is dropped.
            self._condition.wait_for(lambda: len(self._waiting) < _MOST_WAITING or self._error)
            self._raise_error()
            self._waiting += points
            self._params.update(params or {})
            self._tags.update(tags or {})
            self._condition.notify_all()

    def use(self, *refs: str) -> list[str]:
        """Note versions that the run reads; return them resolved."""
        self.flush()
        return self.client.runs.log(self.id, inputs=list(refs)).inputs

    def artifact(self, path: str, content: bytes | str | Path) -> Artifact:
        """Store a file with the run: bytes, text, or a file of this machine."""
        raw = content.encode() if isinstance(content, str) else content
        return self.client.runs.artifact_put(self.id, path, raw)

    def flush(self) -> None:
        """Wait until everything that was logged is stored; raise what a send raised."""
        with self._condition:
            self._condition.wait_for(lambda: self._error or not (self._anything() or self._sending))
            self._raise_error()

    def finish(self, status: str = "finished", error: str = "") -> None:
        """Send the rest and end the run as finished, failed or killed."""
        if status not in {"finished", "failed", "killed"}:
            raise BadInput(f"{status!r} is not an end.", where="status", todo="Use finished, failed or killed.")
        try:
            self.flush()
        finally:
            with self._condition:
                self._ended = True
                self._condition.notify_all()
            self._thread.join(timeout=5)
        self.client.runs.finish(self.id, status=status, error=error)  # type: ignore[arg-type]

    def _anything(self) -> bool:
        return bool(self._waiting or self._params or self._tags)

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _send_all(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._anything() or self._ended)
                if not self._anything():
                    return
                points, self._waiting = self._waiting[:_MOST_PER_REQUEST], self._waiting[_MOST_PER_REQUEST:]
                params, self._params = self._params, {}
                tags, self._tags = self._tags, {}
                self._sending = True
            try:
                self.client.runs.log(self.id, metrics=points, params=params, tags=tags)
            except GimbalError as problem:
                self._fail(problem)
            finally:
                with self._condition:
                    self._sending = False
                    self._condition.notify_all()

    def _fail(self, problem: GimbalError) -> None:
        with self._condition:
            self._error = problem
            self._condition.notify_all()


@contextmanager
def run(
    name: str = "",
    *,
    experiment: str = "default",
    params: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = (),
    client: Client | None = None,
) -> Iterator[ActiveRun]:
    """Track a computation: the run ends as `finished`, or as `failed` with the error when the block raises."""
    client = client or default_client()
    made = client.runs.create(
        name=name or time.strftime("run-%Y%m%d-%H%M%S"),
        experiment=experiment,
        params=dict(params or {}),
        inputs=list(inputs),
    )
    active = ActiveRun(client, made.id, made.name)
    token = _current.set(active)
    try:
        yield active
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        active.finish("killed" if killed else "failed", f"{type(error).__name__}: {error}"[:10_000])
        raise
    else:
        active.finish()
    finally:
        _current.reset(token)


def current_run() -> ActiveRun | None:
    """Return the run of the surrounding `with gimbal.run(...)`, or None."""
    return _current.get()


def log(metrics: Mapping[str, float] | None = None, *, step: int = 0, params: Mapping[str, Any] | None = None) -> None:
    """Log into the surrounding run; raise NotReady when there is none."""
    active = _current.get()
    if active is None:
        raise NotReady("There is no run here.", todo="Use it inside `with gimbal.run(...)`.")
    active.log(metrics, step=step, params=params)
