"""Tracked runs from a script: `with gimbal.run("name") as run: run.log(...)`.

Logging never waits, neither for the network nor for the disk: a thread sends what has come together, and keeps it on disk
while the server is away (`run_courier`). What cannot be kept is refused where it is logged.
"""

import asyncio
import atexit
import contextvars
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from gimbal.axis.runs.model import Artifact, EndStatus, check_path, check_values
from gimbal.axis.runs.plotting import Plot
from gimbal.faces.client.client import Client
from gimbal.faces.client.plots import drawn
from gimbal.faces.client.run_courier import AGAIN, RunCourier, settle_all
from gimbal.faces.client.run_media import Media
from gimbal.faces.client.run_parcels import Parcel
from gimbal.faces.client.run_values import MOST_STEP, numbers, plain, texts, whole_step
from gimbal.faces.client.wire import text
from gimbal.kernel.clock import SystemClock, iso
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, NotReady, TooLarge

_current: contextvars.ContextVar["ActiveRun | None"] = contextvars.ContextVar("gimbal_run", default=None)
_log = logging.getLogger("gimbal")
_FAREWELL_S = 5.0
_MOST_FILE_OFFLINE = 64 * 2**20
_unended: "weakref.WeakSet[ActiveRun]" = weakref.WeakSet()


class ActiveRun(Media):
    """A run that is under way; made by `gimbal.run`. Use it in a `with` block, or call `finish` yourself.

    Any thread of the process that made it may log into it.
    """

    def __init__(
        self, client: Client, courier: RunCourier, run_id: str, name: str, params: Mapping[str, Any], *, rank: int = 0
    ) -> None:
        self.client = client
        self.id = run_id
        self.name = name
        self.rank = rank
        self.beats = True
        self._courier = courier
        self._known = dict(params)
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self.pid = os.getpid()
        self._ended = False
        self._refusal: GimbalError | None = None
        self._ending: tuple[EndStatus, str] | None = None
        self._outer: ActiveRun | None = None
        self._before_end: list[Callable[[], object]] = []
        # Whether a call of nothing but numbers may go straight into the queue.
        self._plain = rank == 0
        courier.senders[run_id if rank == 0 else f"{run_id}/{rank}"] = self
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
        In a distributed job the process of rank 0 logs; what others log is left out.
        """
        # The way of nearly every call: names that were checked before, floats, a plain step.
        if self._plain and metrics and params is None and tags is None and type(step) is int:
            known = self._names
            for name, value in metrics.items():
                if type(value) is not float or name not in known:
                    break
            else:
                if -MOST_STEP <= step <= MOST_STEP and os.getpid() == self.pid:
                    self._courier.add_points((self.id, dict(metrics), step, time.time_ns() // 1000))
                    return
        self._log_checked(metrics or {}, step, params, tags)

    def _log_checked(
        self,
        metrics: Mapping[str, float],
        step: int,
        params: Mapping[str, Any] | None,
        tags: Mapping[str, str] | None,
    ) -> None:
        self._check_open()
        values, at_step = numbers(metrics), whole_step(step)
        new, labels = plain(params), texts(tags)
        check_values(new, labels, most_params=sys.maxsize)
        if self.rank:
            return
        with self._lock:
            for name, value in new.items():
                if name in self._known and self._known[name] != value:
                    raise Conflict(
                        f"The parameter {name!r} is {self._known[name]!r} already and cannot become {value!r}.",
                        where=f"params.{name}",
                        kept="nothing of this call",
                        todo="Use another name, or a tag: tags may change.",
                    )
            self._known.update(new)
            self._names.update(values)
        if new or labels:
            self._courier.add(Parcel(run=self.id, op="log", body={"params": new, "tags": labels}))
        if values:
            self._courier.add((self.id, values, at_step, time.time_ns() // 1000))
        self._raise_refusal()

    def log_of_rank(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Note metrics of this process of a distributed job, each under `rank/<n>/`; of rank 0 as they are."""
        self._check_open()
        prefix = f"rank/{self.rank}/" if self.rank else ""
        values = {prefix + name: value for name, value in numbers(metrics).items()}
        self._courier.add((self.id, values, whole_step(step), time.time_ns() // 1000))

    def label(self, tags: Mapping[str, str]) -> None:
        """Note tags; what the server refused meanwhile is left to the program's own calls."""
        self._check_open()
        self._courier.add(Parcel(run=self.id, op="log", body={"tags": texts(tags)}))

    def note(self, words: str) -> None:
        """Write what there is to say about the run, in Markdown; it replaces what was written before."""
        self._check_open()
        self._courier.add(Parcel(run=self.id, op="update", body={"note": text(words)[:100_000]}))

    def use(self, *refs: str) -> list[str]:
        """Note versions that the run reads; return them resolved."""
        self.flush()
        return self.client.runs.log(self.id, inputs=list(refs)).inputs

    def artifact(self, path: str, content: bytes | str | Path) -> Artifact:
        """Store a file with the run: bytes, text, or (as a Path) a file of this machine.

        While the server is away a file of up to 64 MiB is kept for later, and its digest is not known yet; a larger
        one raises Unavailable.
        """
        self._check_process()
        check_path(path)
        raw = content.encode() if isinstance(content, str) else content
        if not self._courier.behind:
            try:
                return self.client.runs.artifact_put(self.id, path, raw)
            except AGAIN:
                if _length(raw) > _MOST_FILE_OFFLINE:
                    raise
        if _length(raw) > _MOST_FILE_OFFLINE:
            self.flush()
            return self.client.runs.artifact_put(self.id, path, raw)
        held = raw.read_bytes() if isinstance(raw, Path) else raw
        self.put_later(path, held)
        return Artifact(path=path, digest="", size=len(held), media_type="", at=SystemClock().now())

    def put_later(self, path: str, content: bytes) -> None:
        """Store a file with the run without waiting for the server."""
        self._check_process()
        if self.rank:
            return
        if len(content) > _MOST_FILE_OFFLINE:
            raise TooLarge(
                f"{len(content):,} bytes are too many to wait in memory.",
                where="content",
                kept="nothing of this call",
                todo="Store it as a file with `run.artifact`.",
            )
        self._courier.add(Parcel(run=self.id, op="artifact", path=check_path(path), content=content))

    def flush(self) -> None:
        """Wait until everything that was logged is stored; raise what a send raised.

        Raise Unavailable when the server stays away for longer than the client's patience; what was logged waits on
        disk, or in this process, and another flush may succeed.
        """
        self._check_process()
        self._courier.flush()
        self._raise_refusal()

    def plot(
        self, metric: str, beside: Sequence[Any] = (), *, theme: Literal["light", "dark"] = "light", **how: Any
    ) -> Plot:
        """Return a chart of this run, and of other runs or ids `beside` it, also after it has ended.

        What was logged until now is in it. It shows itself in a notebook and has `save`; `how` is as with `gimbal.plot`.
        Raise Unavailable when the server stays away.
        """
        self.flush()
        return drawn(self.client, metric, [self, *beside], theme, how)

    def before_end(self, call: Callable[[], object]) -> None:
        """Call something before the run ends."""
        self._before_end.append(call)

    def finish(self, status: EndStatus = "finished", error: str = "") -> None:
        """Send the rest and end the run; doing it again changes nothing.

        What the server refused is raised after the run has ended. When the server stays away, everything waits on disk
        for the next program, or for `gimbal runs sync`; where that cannot be, Unavailable is raised.
        """
        if status not in {"finished", "failed", "killed"}:
            raise BadInput(f"{status!r} is not an end.", where="status", todo="Use finished, failed or killed.")
        self._finish(status, error, None)

    def refused(self, problem: GimbalError) -> None:
        """Hear what the server refused; the next call raises it."""
        self._refusal = self._refusal or problem
        self._plain = False

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
        status, why = self._ending or ("killed" if killed else "failed", _said(error))
        try:
            self._finish(status, why, _FAREWELL_S)
        except GimbalError as problem:
            error.add_note(f"The run {self.id} could not be ended as it should: {problem}")

    def end_with_program(self) -> None:
        """End the run as it was going to end, or as the program did; a forked child leaves it to its parent."""
        if os.getpid() != self.pid:
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

    def will_end(self, status: EndStatus, error: str) -> None:
        """Note how the run is going to end: the program was told to."""
        self._ending = (status, error)

    def _finish(self, status: EndStatus, error: str, patience: float | None) -> None:
        self._check_process()
        if not self._ended:
            # What goes on beside the run has its last word.
            while self._before_end:
                self._before_end.pop()()
        with self._lock:
            first, self._ended = not self._ended, True
        if not first:
            return
        self._plain = False
        if self.rank == 0:
            body = {"status": status, "error": text(error)[:10_000], "ended_at": iso(SystemClock().now())}
            self._courier.add(Parcel(run=self.id, op="finish", body=body))
        elif error:
            label = {f"rank/{self.rank}/error": text(error)[:1_000]}
            self._courier.add(Parcel(run=self.id, op="log", body={"tags": label}))
        self.beats = False
        _unended.discard(self)
        most = min(self._courier.patience, _FAREWELL_S)
        try:
            sent = self._courier.settle(most if patience is None else patience, lenient=patience is None)
        except GimbalError:
            # It can be ended again, which sends what waits.
            self._ended = False
            _unended.add(self)
            raise
        if not sent:
            _log.warning("the run %s is not sent yet: %s", self.name or self.id, self._courier.waiting())
        self._raise_refusal()

    def _check_process(self) -> None:
        if os.getpid() != self.pid:
            raise NotReady(
                "This belongs to another process: a forked child has no connection of its own.",
                todo="Start a run in the child, or hand the values back to the parent.",
            )

    def _check_open(self) -> None:
        self._check_process()
        if self._ended:
            raise NotReady("The run has ended.", where=self.id, todo="Start another with gimbal.run.")

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            self._plain = self.rank == 0 and not self._ended
            raise refusal


def _length(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


@atexit.register
def _end_all() -> None:
    """End the runs that the program left open, so that none looks as if it were still going on."""
    for active in list(_unended):
        active.end_with_program()
    settle_all(_FAREWELL_S)


def open_runs() -> list[ActiveRun]:
    """Return the runs of this process that have not ended."""
    return [active for active in _unended if active.pid == os.getpid()]


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
