"""Traces from a program: `gimbal.trace` opens a unit of work and says whose it is, `gimbal.span` is a step in it.

    @gimbal.trace(feature="help")
    def answer(question): ...
        with gimbal.span("look up", kind="retriever") as step: ...

Both are blocks and decorators alike. A span that has ended is handed to `courier`, which sends it in the background:
tracing never slows the program down, and nothing that goes wrong in it reaches the program. A program that has
OpenTelemetry points its exporter at `/v1/traces`, or calls `gimbal.instrument`; its spans and these are one trace.
"""

import contextlib
import contextvars
import functools
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

import msgspec

from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.courier import Tally, courier
from gimbal.faces.client.otlp_json import SPAN_BYTES, Row, weight, written
from gimbal.faces.client.propagation import Headers, Parent, bridges, incoming
from gimbal.faces.client.streams import traced
from gimbal.faces.client.wire import text
from gimbal.kernel.ids import new_span_id, new_trace_id

_log = logging.getLogger("gimbal")
_current: contextvars.ContextVar["Span | None"] = contextvars.ContextVar("gimbal_span", default=None)
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
_OK, _ERROR = 1, 2
_MOST_ITEMS = 10_000
_MOST_ATTRIBUTES = 1_000
# What holds for a whole trace, so that costs of each step can be told by it.
_INHERITED = ("gimbal.feature", "user.id", "session.id")
_lost = Tally("were lost on the way out of the program")


class Span:
    """One timed step, made by `gimbal.trace` and `gimbal.span`: a block, or a decorator of functions of every kind."""

    def __init__(
        self,
        name: str = "",
        *,
        kind: str = "chain",
        labels: Mapping[str, str] | None = None,
        headers: Headers | None = None,
        client: Client | None = None,
    ) -> None:
        self.name = name
        self.trace_id = ""
        self.span_id = ""
        self.session = ""
        self._kind = kind
        self.labels = dict(labels or {})
        self._headers = headers
        self.client = client
        self._attributes: dict[str, tuple[Row, int]] = {}
        self._cut = False
        self.place: Parent | None = None
        self._parent: Parent | None = None
        self.outer: Span | None = None
        self._around: tuple[Span | None, object] = (None, None)
        self._inside: tuple[Span | None, object] = (None, None)
        self.ended = False
        self._items: list[Any] = []
        self._items_weight = 0
        self._start_ns = 0

    def set(self, *, input: Any = None, output: Any = None, **attributes: Any) -> None:  # noqa: A002 - what it is
        """Note what went in, what came out, and other attributes, as they are now; None notes nothing.

        What is beyond 8 MiB for the whole span is cut and marked.
        """
        for key, value in {**attributes, "gimbal.input": input, "gimbal.output": output}.items():
            if value is None:
                continue
            name = text(key)
            self._cut |= len(self._attributes) >= _MOST_ATTRIBUTES
            if name in self._attributes or len(self._attributes) < _MOST_ATTRIBUTES:
                free = SPAN_BYTES - sum(size for other, (_, size) in self._attributes.items() if other != name)
                row, size, cut = written(value, max(free, 0))
                self._attributes[name] = (row, size)
                self._cut |= cut

    @property
    def headers(self) -> dict[str, str]:
        """W3C headers by which a call that is made here becomes a child of this span; none before it has begun."""
        return self.place.headers if self.place else {}

    def __enter__(self) -> Self:
        """Start the span."""
        try:
            self._begin()
        except Exception as problem:  # noqa: BLE001 - tracing never breaks the program
            _lost.add(1, _said(problem))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """End the span and queue it."""
        try:
            self._end(error)
        except Exception as problem:  # noqa: BLE001 - tracing never breaks the program
            _lost.add(1, _said(problem))

    def __call__(self, function: F) -> F:
        """Trace every call of a function, with its arguments and result; also of async functions and generators."""
        name = self.name or getattr(function, "__qualname__", type(function).__name__).rpartition("<locals>.")[2]

        # Decorated functions may run in many threads at once: each call has a span of its own.
        def made(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
            span = Span(name, kind=self._kind, labels=self.labels, headers=self._headers, client=self.client)
            span._attributes = dict(self._attributes)
            with contextlib.suppress(Exception):
                span.set(input={"args": list(args), "kwargs": kwargs} if args or kwargs else None)
            return span

        return traced(function, made)

    def pause(self, item: Any) -> None:
        """Note an item of a stream and leave the span: what the reader does meanwhile is no child of it."""
        with contextlib.suppress(Exception):
            self._collect(item)
        self._inside = _here()
        _back(self._around)

    def resume(self) -> None:
        """Go on with the span where the stream goes on, whoever reads it now."""
        self._around = _here()
        _back(self._inside)

    def _collect(self, item: Any) -> None:
        if not self._cut:
            self._items_weight += weight(item)
            if len(self._items) < _MOST_ITEMS and self._items_weight <= SPAN_BYTES:
                self._items.append(item)
            else:
                self._cut = True

    def _begin(self) -> None:
        self._around = _here()
        self.ended = False
        before = _current.get()
        # A task may outlive the spans around it: they are its parents, but need not be kept for it.
        self.outer = before and before.running
        remote = incoming(self._headers) if self._headers is not None else None
        shared = bridges[0].parent() if bridges and remote is None else None
        parent = self._parent = remote or shared or (before.place if before else None)
        self.trace_id = parent.trace_id if parent else new_trace_id()
        self.span_id = new_span_id()
        told = Parent(trace_id=self.trace_id, span_id=self.span_id)
        self.place = msgspec.structs.replace(parent, span_id=self.span_id) if parent else told
        if before is not None:
            self.client = self.client or before.client
            for name in _INHERITED:
                if value := before.labels.get(name):
                    self.labels.setdefault(name, value)
        self.session = self.labels.get("session.id", "")
        _current.set(self)
        if bridges:
            bridges[0].enter(self.place)
        self._start_ns = time.time_ns()

    def _end(self, error: BaseException | None) -> None:
        self.ended = True
        # Somebody else is current when a stream is closed by its reader, or blocks end out of order.
        if _current.get() is self:
            _back(self._around)
        self._around = self._inside = (None, None)
        if self.place is None or not self.place.sampled:
            return
        if self._items:
            self.set(output=self._items)
        # Whoever stops reading a stream has not made it fail.
        fine = error is None or isinstance(error, GeneratorExit)
        # What the span is comes first: a server that takes only so many attributes takes these.
        told = {"gimbal.kind": self._kind, **self.labels}
        attributes: dict[str, Row] = {"gimbal.truncated": {"boolValue": True}} if self._cut else {}
        attributes |= {name: {"stringValue": text(str(value))} for name, value in told.items()}
        attributes |= {name: row for name, (row, _) in self._attributes.items()}
        row: Row = {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "name": text(str(self.name)),
            "startTimeUnixNano": str(self._start_ns),
            "endTimeUnixNano": str(time.time_ns()),
            "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
            "status": {"code": _OK} if fine else {"code": _ERROR, "message": _said(error)},
        }
        if self._parent is not None:
            row["parentSpanId"] = self._parent.span_id
        courier(self.client or default_client()).offer(msgspec.json.encode(row))

    @property
    def running(self) -> "Span | None":
        """This span, or the nearest one around it that has not ended."""
        span: Span | None = self
        while span is not None and span.ended:
            span = span.outer
        return span


@overload
def trace(name: F, /) -> F: ...
@overload
def trace(
    name: str = "",
    *,
    kind: str = "chain",
    feature: str = "",
    user: str = "",
    session: str = "",
    headers: Headers | None = None,
    client: Client | None = None,
) -> Span: ...
def trace(
    name: str | Callable[..., Any] = "",
    *,
    kind: str = "chain",
    feature: str = "",
    user: str = "",
    session: str = "",
    headers: Headers | None = None,
    client: Client | None = None,
) -> Any:
    """Open a unit of work: `@gimbal.trace`, `@gimbal.trace(feature="help")` or `with gimbal.trace("answer") as span:`.

    `feature`, `user` and `session` hold for every step in it. `headers` are those of an incoming request: with a valid
    `traceparent` the caller's trace goes on here, and is not recorded where the caller says so. Without a name a
    function's own is taken. Inside another trace it is a step of that one.
    """
    if callable(name):
        return Span()(name)
    told = {"gimbal.feature": feature, "user.id": user, "session.id": session}
    labels = {key: value for key, value in told.items() if value}
    return Span(name, kind=kind, labels=labels, headers=headers, client=client)


@overload
def span(name: F, /) -> F: ...
@overload
def span(name: str = "", *, kind: str = "chain") -> Span: ...
def span(name: str | Callable[..., Any] = "", *, kind: str = "chain") -> Any:
    """Open a step of the surrounding trace, as a block or a decorator; outside a trace it is one of its own.

    `kind` is `llm`, `tool`, `retriever`, `embedding`, `guard`, `agent`, `evaluator` or `chain`.
    """
    return Span(kind=kind)(name) if callable(name) else Span(name, kind=kind)


def current_span() -> Span:
    """Return the span that runs here; outside all of them one that notes nothing and has no headers."""
    return _current.get() or Span()


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the trace (and run) of here, for threads and executors, which know none.

    `executor.submit(gimbal.carry(work), 1)`. Tasks of asyncio and `asyncio.to_thread` carry it by themselves.
    """
    context = contextvars.copy_context()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        # A context can be entered once at a time: each call has a copy.
        return context.copy().run(function, *args, **kwargs)

    return carried


def flush(client: Client | None = None, *, patience: float | None = None) -> None:
    """Wait until every span that has ended is stored, also those that an earlier program left in the spool.

    Raise Unavailable when the server does not answer for `patience` seconds; then they wait in the spool.
    """
    for other in flushes:
        other()
    courier(client or default_client()).flush(patience)


# What else is to be waited for; `instrument` adds its exporter.
flushes: list[Callable[[], object]] = []


def _here() -> tuple[Span | None, object]:
    return _current.get(), bridges[0].here() if bridges else None


def _back(place: tuple[Span | None, object]) -> None:
    span, context = place
    _current.set(span and span.running)
    if bridges and context is not None:
        bridges[0].back(context)


def _said(error: BaseException | None) -> str:
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - a user's __str__ may raise anything
        words = ""
    return text(f"{type(error).__name__}: {words}".removesuffix(": "))
