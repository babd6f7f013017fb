"""Spans from a script without an OpenTelemetry SDK: `with gimbal.trace("answer") as span: ...`, or as a decorator.

A whole trace is sent as OTLP JSON when its outermost span ends. Programs that have OpenTelemetry point its exporter at
`/v1/traces` instead and need nothing of this.
"""

import contextvars
import functools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from gimbal.faces.client.client import Client, default_client
from gimbal.kernel.ids import format_traceparent, new_span_id, new_trace_id

_current: contextvars.ContextVar["trace | None"] = contextvars.ContextVar("gimbal_span", default=None)
F = TypeVar("F", bound=Callable[..., Any])
_OK, _ERROR = 1, 2


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()}


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
        self._attributes: dict[str, Any] = {"gimbal.kind": kind}
        for key, text in (("gimbal.feature", feature), ("user.id", user), ("session.id", session)):
            if text:
                self._attributes[key] = text
        self.trace_id = ""
        self.span_id = ""
        self._parent: trace | None = None
        self._finished: list[dict[str, Any]] = []
        self._token: contextvars.Token[trace | None] | None = None
        self._start_ns = 0

    def set(self, *, input: Any = None, output: Any = None, **attributes: Any) -> None:  # noqa: A002 - what it is
        """Note what went in, what came out, and other attributes."""
        if input is not None:
            self._attributes["gimbal.input"] = input
        if output is not None:
            self._attributes["gimbal.output"] = output
        self._attributes.update(attributes)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by which a call that is made here becomes a child of this span."""
        return {"traceparent": format_traceparent(self.trace_id, self.span_id)}

    def __enter__(self) -> Self:
        """Start the span."""
        self._parent = _current.get()
        self.trace_id = self._parent.trace_id if self._parent else new_trace_id()
        self.span_id = new_span_id()
        self._token = _current.set(self)
        self._start_ns = time.time_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """End the span; the outermost sends the trace."""
        if self._token is not None:
            _current.reset(self._token)
        row: dict[str, Any] = {
            "traceId": self.trace_id,
            "spanId": self.span_id,
            "name": self.name,
            "startTimeUnixNano": str(self._start_ns),
            "endTimeUnixNano": str(time.time_ns()),
            "attributes": [{"key": key, "value": _value(value)} for key, value in self._attributes.items()],
            "status": {"code": _ERROR, "message": f"{error}"} if error else {"code": _OK},
        }
        if self._parent is not None:
            row["parentSpanId"] = self._parent.span_id
            self._parent._finished += [*self._finished, row]  # noqa: SLF001 - of the same class
            return
        scope = {"scope": {"name": "gimbal"}, "spans": [*self._finished, row]}
        body = {"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]}
        (self._client or default_client()).transport.dialect("POST", "/v1/traces", body)

    def __call__(self, function: F) -> F:
        """Trace every call of a function, with its arguments and result."""
        made = (self.name, dict(self._attributes), self._client)

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with trace(made[0], client=made[2]) as span:
                span.set(**made[1])
                span.set(input={"args": list(args), "kwargs": kwargs} if args or kwargs else None)
                result = function(*args, **kwargs)
                span.set(output=result)
                return result

        return traced  # type: ignore[return-value]
