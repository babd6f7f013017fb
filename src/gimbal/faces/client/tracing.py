"""Spans from a script without an OpenTelemetry SDK: `with gimbal.trace("answer") as span: ...`, or as a decorator.

A span is queued when it ends and sent as OTLP JSON in the background: tracing never slows the program down and never
breaks it. What cannot be sent is said in the log `gimbal`; `flush` waits until everything is stored. Programs that
have OpenTelemetry point its exporter at `/v1/traces` instead and need nothing of this.
"""

import atexit
import contextlib
import contextvars
import functools
import inspect
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.outbox import PASSING, Outbox
from gimbal.faces.client.wire import jsonable, text
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.ids import format_traceparent, new_span_id, new_trace_id

_log = logging.getLogger("gimbal")
_current: contextvars.ContextVar["trace | None"] = contextvars.ContextVar("gimbal_span", default=None)
F = TypeVar("F", bound=Callable[..., Any])
Row = dict[str, Any]
_OK, _ERROR = 1, 2
_INT64 = 2**63
_MOST_WAITING = 20_000
_MOST_PER_REQUEST = 500
_FAREWELL_S = 5.0


class _Sender:
    """The spans of one client on their way."""

    def __init__(self, client: Client) -> None:
        # The table of senders must not be what keeps a client alive.
        self._client = weakref.ref(client)
        self._quiet = False
        self._dropped = 0
        self.outbox: Outbox[Row] = Outbox(
            self._send,
            name="gimbal-traces",
            weigh=lambda _row: 1,
            describe=lambda rows: f"{sum(1 for _ in rows):,} spans",
            most=_MOST_WAITING,
            per_batch=_MOST_PER_REQUEST,
            patience=client.transport.patience,
        )
        client.transport.before_close.append(self.farewell)

    def farewell(self) -> None:
        """Send what is left; say so when that cannot be done."""
        if not self.outbox.here:
            return
        try:
            self.outbox.flush(_FAREWELL_S)
        except GimbalError as problem:
            _log.warning("spans were not sent: %s", problem)

    def offer(self, row: Row) -> None:
        """Queue a span, or count it as dropped and say so."""
        if not self.outbox.offer(row):
            self._dropped += 1
            if self._dropped.bit_count() == 1:  # at 1, 2, 4, 8 …: told, but never a flood
                _log.warning("%d spans were dropped: too many wait for the server", self._dropped)

    def _send(self, rows: Sequence[Row]) -> None:
        client = self._client()
        if client is None:
            return
        scope = {"scope": {"name": "gimbal"}, "spans": list(rows)}
        body = {"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]}
        try:
            partial = client.transport.dialect("POST", "/v1/traces", body).get("partialSuccess") or {}
        except PASSING as problem:
            if not self._quiet:
                _log.warning("spans wait to be sent: %s", problem)
            self._quiet = True
            raise
        except GimbalError as problem:
            _log.warning("%d spans were refused and are lost: %s", len(rows), problem)
            return
        self._quiet = False
        if rejected := int(partial.get("rejectedSpans") or 0):
            _log.warning("%d spans were rejected: %s", rejected, partial.get("errorMessage", ""))


_senders: "weakref.WeakKeyDictionary[Client, _Sender]" = weakref.WeakKeyDictionary()


def _sender(client: Client) -> _Sender:
    found = _senders.get(client)
    if found is None or not found.outbox.here:
        found = _senders[client] = _Sender(client)
    return found


def flush(client: Client | None = None, *, patience: float | None = None) -> None:
    """Wait until every span that has ended is stored; raise Unavailable after `patience` seconds without a server."""
    found = _senders.get(client or default_client())
    if found is not None and found.outbox.here:
        found.outbox.flush(patience)


@atexit.register
def _flush_all() -> None:
    """Send what is left when the program ends."""
    for sender in list(_senders.values()):
        sender.farewell()


def _value(value: Any) -> Row:
    """Return an attribute's value as OTLP JSON has it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return {"intValue": str(int(value))}
    if isinstance(value, str):
        return {"stringValue": text(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    plain = jsonable(value)
    if isinstance(plain, float):
        return {"doubleValue": plain}
    return {"stringValue": plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()}


def _safe(value: Any) -> Row:
    """Return the value, or why it has none: a value that cannot be written must not break the program."""
    try:
        return _value(value)
    except Exception as problem:  # noqa: BLE001 - a user's __str__ may raise anything
        return {"stringValue": f"<{type(value).__name__} that cannot be written: {type(problem).__name__}>"}


class trace:  # noqa: N801 - reads as a verb where it is used
    """A span around a block or a function; spans inside it are its children."""

    def __init__(
        self,
        name: str,
        *,
        kind: str = "chain",
        feature: str = "",
        user: str = "",
        session: str = "",
        client: Client | None = None,
    ) -> None:
        self.name = name
        self._client = client
        self._attributes: dict[str, Row] = {}
        told = {"gimbal.kind": kind, "gimbal.feature": feature, "user.id": user, "session.id": session}
        self.set(**{key: value for key, value in told.items() if value})
        self.trace_id = ""
        self.span_id = ""
        self._parent: trace | None = None
        self._items: list[Any] = []
        self._start_ns = 0

    def set(self, *, input: Any = None, output: Any = None, **attributes: Any) -> None:  # noqa: A002 - what it is
        """Note what went in, what came out, and other attributes, as they are now; None notes nothing."""
        for key, value in {**attributes, "gimbal.input": input, "gimbal.output": output}.items():
            if value is not None:
                self._attributes[text(key)] = _safe(value)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by which a call that is made here becomes a child of this span."""
        return {"traceparent": format_traceparent(self.trace_id, self.span_id)}

    def __enter__(self) -> Self:
        """Start the span."""
        self._parent = _current.get()
        self.trace_id = self._parent.trace_id if self._parent else new_trace_id()
        self.span_id = new_span_id()
        _current.set(self)
        self._start_ns = time.time_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """End the span and queue it."""
        _current.set(self._parent)
        # Whoever stops reading a stream has not made it fail.
        if self._items:
            self.set(output=self._items)
        fine = error is None or isinstance(error, GeneratorExit)
        row: Row = {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "name": text(self.name),
            "startTimeUnixNano": str(self._start_ns),
            "endTimeUnixNano": str(time.time_ns()),
            "attributes": [{"key": key, "value": value} for key, value in self._attributes.items()],
            "status": {"code": _OK} if fine else {"code": _ERROR, "message": _said(error)},
        }
        if self._parent is not None:
            row["parentSpanId"] = self._parent.span_id
        try:
            _sender(self._client or default_client()).offer(row)
        except GimbalError as problem:  # the environment names no server that could be one
            _log.warning("a span was dropped: %s", problem)

    def __call__(self, function: F) -> F:
        """Trace every call of a function, with its arguments and result; also of async functions and generators."""
        # Decorated functions may run in many threads at once: each call has a span of its own.
        made = functools.partial(self._again)

        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def streamed(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                with made(args, kwargs) as span:
                    async with contextlib.aclosing(function(*args, **kwargs)) as inner:
                        async for item in inner:
                            with span.paused(item):
                                yield item

            return streamed  # type: ignore[return-value]
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def yielded(*args: Any, **kwargs: Any) -> Iterator[Any]:
                with made(args, kwargs) as span:
                    for item in function(*args, **kwargs):
                        with span.paused(item):
                            yield item

            return yielded  # type: ignore[return-value]
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with made(args, kwargs) as span:
                    result = await function(*args, **kwargs)
                    span.set(output=result)
                    return result

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with made(args, kwargs) as span:
                result = function(*args, **kwargs)
                span.set(output=result)
                return result

        return traced  # type: ignore[return-value]

    @contextlib.contextmanager
    def paused(self, item: Any) -> Iterator[None]:
        """Hand an item of a stream to its reader: what the reader does meanwhile is no child of this span."""
        self._items.append(item)
        _current.set(self._parent)
        yield
        _current.set(self)

    def _again(self, args: Iterable[Any], kwargs: dict[str, Any]) -> "trace":
        """Return a span like this one for one call."""
        span = trace(self.name, client=self._client)
        span._attributes = dict(self._attributes)
        given = {"args": list(args), "kwargs": kwargs}
        span.set(input=given if given["args"] or kwargs else None)
        return span


def _said(error: BaseException | None) -> str:
    return text(f"{type(error).__name__}: {error}".removesuffix(": "))
