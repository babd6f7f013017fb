"""Where a trace goes on: what a child needs to know of its parent, in W3C headers, and between two tracers of a program."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Protocol, cast

import msgspec

from gimbal.kernel.ids import format_traceparent, parse_traceparent

Headers = Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
_MOST_STATE = 512


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """What a span may be a child of: a span of this program, or of the one that called it."""

    trace_id: str
    span_id: str
    sampled: bool = True
    """Whether it is recorded; when not, its children are not either."""
    state: str = ""
    """The header `tracestate`, passed on as it came."""

    @property
    def headers(self) -> dict[str, str]:
        """The W3C headers that tell of it."""
        told = {"traceparent": format_traceparent(self.trace_id, self.span_id, sampled=self.sampled)}
        return told | ({"tracestate": self.state} if self.state else {})


class Bridge(Protocol):
    """Another tracer of this program, which shares the current span with this one."""

    def here(self) -> object:
        """Return its context of now."""
        ...

    def back(self, context: object) -> None:
        """Make a context the current one again."""
        ...

    def enter(self, parent: Parent) -> None:
        """Make a span of ours its current one."""
        ...

    def parent(self) -> Parent | None:
        """Return its current span."""
        ...


# Empty, or the one that `instrument` puts here.
bridges: list[Bridge] = []


def incoming(headers: Headers) -> Parent | None:
    """Return the caller's span as W3C headers name it; None when there is none that is valid.

    Names in any case, text or bytes, a mapping or pairs: what WSGI, ASGI and HTTP libraries have.
    """
    found: dict[str, list[str]] = {}
    # What a framework calls headers may be anything; a trace of its own is better than an error.
    with contextlib.suppress(Exception):
        pairs = cast("Iterable[tuple[str | bytes, str | bytes]]", getattr(headers, "items", lambda: headers)())
        for pair in pairs:
            name, value = (part.decode("latin-1") if isinstance(part, bytes) else part for part in pair)
            found.setdefault(name.lower(), []).append(value.strip())
    parents = found.get("traceparent", [])
    read = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if read is None:
        return None
    trace_id, span_id, sampled = read
    state = ",".join(found.get("tracestate", []))
    return Parent(trace_id=trace_id, span_id=span_id, sampled=sampled, state=state if len(state) <= _MOST_STATE else "")
