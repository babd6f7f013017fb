"""Tracked runs from a script: `with gimbal.run("name") as run: run.log(...)`.

Logging does not wait for the network: an `Outbox` sends what has come together, in order. What cannot be kept is
refused where it is logged; the end of the run waits until everything is stored.
"""

import asyncio
import atexit
import contextvars
import operator
import sys
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gimbal.axis.runs.model import MAX_NAME, Artifact, EndStatus, LogMetric, check_values, to_wire
from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.outbox import PASSING, Outbox
from gimbal.faces.client.wire import jsonable, text
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotReady, TooLarge, Unprocessable
from gimbal.kernel.ids import new_id

_current: contextvars.ContextVar["ActiveRun | None"] = contextvars.ContextVar("gimbal_run", default=None)
_MOST_WAITING = 100_000
_MOST_PER_REQUEST = 20_000
# A parameter may be long and is stored as a row of its own: it counts as many points.
_PARAM_WEIGHT = 50
_MOST_STEP = 2**62
_FAREWELL_S = 5.0
_unended: "weakref.WeakSet[ActiveRun]" = weakref.WeakSet()


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one call logged."""

    metrics: list[LogMetric] = []
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}


def _weight(entry: _Entry) -> int:
    return 1 + len(entry.metrics) + _PARAM_WEIGHT * (len(entry.params) + len(entry.tags))


def _described(entries: Iterable[_Entry]) -> str:
    rows = list(entries)
    counts = (("metric points", "metrics"), ("parameters", "params"), ("tags", "tags"))
    found = [(sum(len(getattr(row, field)) for row in rows), words) for words, field in counts]
    return ", ".join(f"{n:,} {words}" for n, words in found if n) or "nothing"


class ActiveRun:
    """A run that is under way; made by `gimbal.run`. Use it in a `with` block, or call `finish` yourself.

    Any thread of the process that made it may log into it.
    """

    def __init__(self, client: Client, run_id: str, name: str, params: Mapping[str, Any]) -> None:
        self.client = client
        self.id = run_id
        self.name = name
        self._known = dict(params)
        self._lock = threading.Lock()
        self._ended = False
        self._ending: tuple[EndStatus, str] | None = None
        self._outer: ActiveRun | None = None
        self._outbox: Outbox[_Entry] = Outbox(
            self._send,
            name=f"gimbal-run-{run_id}",
            weigh=_weight,
            describe=_described,
            most=_MOST_WAITING,
            per_batch=_MOST_PER_REQUEST,
            patience=client.transport.patience,
        )
        _unended.add(self)

    def log(
        self,
        metrics: Mapping[str, float] | None = None,
        *,
        step: int = 0,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Note metrics at a step, parameters and tags; they are sent at once, in the background.

        Raise BadInput or TooLarge for what cannot be kept, Conflict for a parameter that changes; nothing of the call
        is kept then. An error that the server gave meanwhile is raised here, too; then the call itself is kept.
        """
        if self._ended:
            raise NotReady("The run has ended.", where=self.id, todo="Start another with gimbal.run.")
        entry = _Entry(metrics=_points(metrics or {}, step), params=_plain(params), tags=_tags(tags))
        check_values(entry.params, entry.tags, most_params=sys.maxsize)
        with self._lock:
            for name, value in entry.params.items():
                if name in self._known and self._known[name] != value:
                    raise Conflict(
                        f"The parameter {name!r} is {self._known[name]!r} already and cannot become {value!r}.",
                        where=f"params.{name}",
                        kept="nothing of this call",
                        todo="Use another name, or a tag: tags may change.",
                    )
            self._known.update(entry.params)
        if entry.metrics or entry.params or entry.tags:
            self._outbox.add(entry)

    def use(self, *refs: str) -> list[str]:
        """Note versions that the run reads; return them resolved."""
        self.flush()
        return self.client.runs.log(self.id, inputs=list(refs)).inputs

    def artifact(self, path: str, content: bytes | str | Path) -> Artifact:
        """Store a file with the run: bytes, text, or (as a Path) a file of this machine."""
        raw = content.encode() if isinstance(content, str) else content
        return self.client.runs.artifact_put(self.id, path, raw)

    def flush(self) -> None:
        """Wait until everything that was logged is stored; raise what a send raised.

        Raise Unavailable when the server stays away for longer than the client's patience; what was logged waits in
        this process, and another flush may succeed.
        """
        self._outbox.flush()

    def finish(self, status: EndStatus = "finished", error: str = "") -> None:
        """Send the rest and end the run; doing it again changes nothing.

        What the server refused is raised after the run has ended. When the server stays away the run is not ended and
        Unavailable says what waits: call it again once the server is back.
        """
        if status not in {"finished", "failed", "killed"}:
            raise BadInput(f"{status!r} is not an end.", where="status", todo="Use finished, failed or killed.")
        self._finish(status, error, None)

    def __enter__(self) -> Self:
        """Make this the run that `gimbal.log` means."""
        self._outer = _current.get()
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run: finished, or failed or killed with the error of the block, which goes on as it was."""
        _current.set(self._outer)
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
            return
        killed = isinstance(error, KeyboardInterrupt | GeneratorExit | asyncio.CancelledError)
        try:
            self._finish("killed" if killed else "failed", _said(error), _FAREWELL_S)
        except GimbalError as problem:
            error.add_note(f"The run {self.id} could not be ended as it should: {problem}")

    def end_with_program(self) -> None:
        """End the run as it was going to end, or as the program did; a forked child leaves it to its parent."""
        if not self._outbox.here:
            return
        raised = getattr(sys, "last_value", None)
        if self._ending is not None:
            status, why = self._ending
        elif isinstance(raised, BaseException):
            status, why = "failed", _said(raised)
        else:
            status, why = "killed", "The program ended without ending the run."
        try:
            self._finish(status, why, _FAREWELL_S)
        except GimbalError as problem:
            sys.stderr.write(f"gimbal: the run {self.id} could not be ended as it should: {problem}\n")

    def _finish(self, status: EndStatus, error: str, patience: float | None) -> None:
        if self._ended:
            return
        self._ending = (status, error)
        refusal: GimbalError | None = None
        try:
            self._outbox.flush(patience)
        except PASSING:
            raise
        except GimbalError as problem:
            refusal = problem
        self.client.runs.finish(self.id, status=status, error=text(error)[:10_000])
        self._ended = True
        self._outbox.close()
        _unended.discard(self)
        if refusal is not None:
            raise refusal

    def _send(self, entries: Sequence[_Entry]) -> None:
        params: dict[str, Any] = {}
        tags: dict[str, str] = {}
        for entry in entries:
            params |= entry.params
            tags |= entry.tags
        points = [point for entry in entries for point in entry.metrics]
        try:
            self.client.runs.log(self.id, metrics=points, params=params, tags=tags)
        except (BadInput, Conflict, TooLarge, Unprocessable) as refusal:
            self._send_parts(points, params, tags, refusal)

    def _send_parts(
        self, points: list[LogMetric], params: dict[str, Any], tags: dict[str, str], refusal: GimbalError
    ) -> None:
        """Send everything by itself, so that what the server refuses takes nothing else with it."""
        refused: list[str] = []
        parts = [_Entry(metrics=points)] if points else []
        parts += [_Entry(params={name: value}) for name, value in params.items()]
        parts += [_Entry(tags={name: value}) for name, value in tags.items()]
        for part in parts:
            try:
                self.client.runs.log(self.id, metrics=part.metrics, params=part.params, tags=part.tags)
            except PASSING:
                raise
            except GimbalError as problem:
                refused += [*part.params, *part.tags] or [f"{len(part.metrics):,} metric points"]
                refusal = problem
        if refused:
            refusal.kept = f"everything that was logged but {', '.join(refused)}"
            raise refusal


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _points(metrics: Mapping[Any, Any], step: int) -> list[LogMetric]:
    if not metrics:
        return []
    try:
        at_step = operator.index(step)
    except TypeError:
        raise _unfit(f"A step is a whole number, not {step!r}.", "step", "Count steps, epochs or batches.") from None
    if not -_MOST_STEP <= at_step <= _MOST_STEP:
        raise _unfit(f"The step {at_step} is out of range.", "step", "Keep it within ±2⁶².")
    at = SystemClock().now()
    points: list[LogMetric] = []
    for name, value in metrics.items():
        where = f"metrics.{str(name)[:40]}"
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise _unfit(f"A metric's name is a text of 1 to {MAX_NAME} characters.", where, "Give it such a name.")
        try:
            number = float(value) if not isinstance(value, str | bytes) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None:
            raise _unfit(
                f"A metric is a number, not {str(value)[:40]!r}.",
                where,
                "Leave out what is missing; log text as a tag.",
            )
        points.append(LogMetric(name=text(name), value=to_wire(number), step=at_step, at=at))
    return points


def _unfit(message: str, where: str, todo: str) -> BadInput:
    return BadInput(message, where=where, kept="nothing of this call", todo=todo)


def _plain(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {text(str(name)): jsonable(value, f"params.{name}") for name, value in (params or {}).items()}


def _tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    return {text(str(name)): text(str(value)) for name, value in (tags or {}).items()}


@atexit.register
def _end_all() -> None:
    """End the runs that the program left open, so that none looks as if it were still going on."""
    for active in list(_unended):
        active.end_with_program()


def run(
    name: str = "",
    *,
    experiment: str = "default",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    inputs: Sequence[str] = (),
    client: Client | None = None,
) -> ActiveRun:
    """Start to track a computation: `with gimbal.run("name") as run:`.

    The run ends with the block, as `finished`, or as `failed` with the error when the block raises. Without `with`,
    call `finish`; what a program leaves open is ended when the program is.
    """
    client = client or default_client()
    plain = _plain(params)
    # The id is ours, so that a repeated request starts no second run.
    made = client.runs.create(
        id=new_id(), name=name, experiment=experiment, params=plain, tags=_tags(tags), inputs=list(inputs)
    )
    return ActiveRun(client, made.id, made.name, plain)


def current_run() -> ActiveRun | None:
    """Return the run of the surrounding `with gimbal.run(...)`, or None."""
    return _current.get()


def log(
    metrics: Mapping[str, float] | None = None,
    *,
    step: int = 0,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log into the surrounding run; raise NotReady when there is none."""
    active = _current.get()
    if active is None:
        raise NotReady(
            "There is no run here.",
            todo="Use it inside `with gimbal.run(...)`; in a thread of your own, call `run.log` of the run itself.",
        )
    active.log(metrics, step=step, params=params, tags=tags)
