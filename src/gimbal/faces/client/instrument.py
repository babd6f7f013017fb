"""`gimbal.instrument()`: every installed OpenTelemetry instrumentation package traces to this Gimbal.

Packages name themselves by entry points. Their spans and those of `gimbal.trace` share the current span, so that a call
to a provider inside a `gimbal.trace` is a step of it. OpenTelemetry is the program's own: nothing of it is loaded
before `instrument` is called, and nothing breaks without it.
"""

import contextlib
import functools
import importlib
import logging
import os
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import msgspec

from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.courier import quiet
from gimbal.faces.client.propagation import Parent, bridges
from gimbal.faces.client.tracing import flushes
from gimbal.kernel.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger("gimbal")
_GROUP = "opentelemetry_instrumentor"
_FLUSH_MS = 30_000
# Which destinations have an exporter already, and which packages are on, with what their entry points name.
_exporting: set[tuple[str, str, str]] = set()
_on: dict[str, str] = {}


class Instrumented(msgspec.Struct, frozen=True, kw_only=True):
    """What `instrument` turned on."""

    url: str
    """Where the spans go."""
    on: tuple[str, ...]
    """Packages that are on, by the names of their entry points."""
    off: dict[str, str]
    """Packages that are installed and not on, and why."""


def instrument(client: Client | None = None) -> Instrumented:
    """Turn on every installed OpenTelemetry instrumentation package and send its spans to the client's Gimbal.

    A tracer provider that the program has set up keeps its exporters and gets one more. A package that fails, or that
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names, is named with the reason and left off. Calling it again changes
    nothing. Raise MissingExtra when the OpenTelemetry SDK or its OTLP exporter is not installed.
    """
    client = client or default_client()
    provider = _provider(client)
    off: dict[str, str] = {}
    named = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    disabled = {name.strip() for name in named.split(",")}
    # In an order that is the same everywhere: of two packages for one library the first that works is taken.
    for point in sorted(entry_points(group=_GROUP), key=lambda point: (point.name, point.value)):
        if point.name in disabled or "*" in disabled:
            off[point.name] = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it"
        elif (same := _on.get(point.name)) is None:
            if why := _turn_on(point, provider):
                off[point.name] = why
                _log.warning("the instrumentation %s is left off: %s", point.name, why)
            else:
                _on[point.name] = point.value
        elif same != point.value:
            # Two packages for one library, of which either would report each call.
            off[point.value] = f"{same} is on under the same name, {point.name}"
    on = tuple(sorted(_on))
    _log.info("traces go to %s: %s", client.transport.url, ", ".join(on) or "no instrumentation package is installed")
    return Instrumented(url=client.transport.url, on=on, off=off)


def _turn_on(point: EntryPoint, provider: "TracerProvider") -> str:
    """Turn one package on; return why it could not be, or nothing."""
    try:
        instrumentor = point.load()()
        # A package whose library is missing or too old says so here, and only logs it when it is turned on.
        clash = getattr(instrumentor, "_check_dependency_conflicts", lambda: None)()
        if clash:
            return str(clash)
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    except Exception as problem:  # noqa: BLE001 - a package of others must not break the program
        return f"{type(problem).__name__}: {problem}"
    return ""


def _provider(client: Client) -> "TracerProvider":
    """Return the program's tracer provider, or make one; let it export to us and share its current span with ours."""
    # Optional, and not loaded before it is asked for: `import gimbal` stays light.
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise MissingExtra(
            f"The OpenTelemetry SDK is not installed: {missing.name or missing}.",
            kept="the program as it was; `gimbal.trace` works without it",
            todo="pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
        ) from None
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    to = client.transport
    if (to.url, to.key, to.project) not in _exporting:
        _exporting.add((to.url, to.key, to.project))
        headers = {"x-gimbal-project": to.project} | ({"authorization": f"Bearer {to.key}"} if to.key else {})
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{to.url}/v1/traces", headers=headers))
        provider.add_span_processor(processor)
        flushes.append(functools.partial(processor.force_flush, _FLUSH_MS))
    if not bridges:
        bridges.append(_OpenTelemetry())
        # Where it is missing, no package of theirs is installed that could trace our own requests.
        with contextlib.suppress(ImportError):
            quiet[0] = importlib.import_module("opentelemetry.instrumentation.utils").suppress_instrumentation
    return provider


class _OpenTelemetry:
    """The current span of OpenTelemetry and ours are one."""

    def __init__(self) -> None:
        from opentelemetry import context, trace

        self._context = context
        self._trace = trace

    def here(self) -> object:
        return self._context.get_current()

    def back(self, context: Any) -> None:
        # Never detached: a token is of one context, and a stream may end in another.
        self._context.attach(context)

    def enter(self, parent: Parent) -> None:
        of = self._trace
        told = of.SpanContext(
            trace_id=int(parent.trace_id, 16),
            span_id=int(parent.span_id, 16),
            is_remote=False,
            trace_flags=of.TraceFlags(of.TraceFlags.SAMPLED if parent.sampled else of.TraceFlags.DEFAULT),
            trace_state=of.TraceState.from_header([parent.state] if parent.state else []),
        )
        self._context.attach(of.set_span_in_context(of.NonRecordingSpan(told)))

    def parent(self) -> Parent | None:
        told = self._trace.get_current_span().get_span_context()
        if not told.is_valid:
            return None
        return Parent(
            trace_id=f"{told.trace_id:032x}",
            span_id=f"{told.span_id:016x}",
            sampled=told.trace_flags.sampled,
            state=told.trace_state.to_header(),
        )
