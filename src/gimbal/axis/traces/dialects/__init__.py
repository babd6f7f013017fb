"""Conventions of instrumentations, one file each: which spans are theirs, and how they say what we keep.

`read` asks them in order; the first whose attributes or scope are there reads the span, `generic` takes the rest. Those
that build upon OpenTelemetry's GenAI names stand before it and take from it what they do not say themselves.
"""

from gimbal.axis.traces.dialects import generic, langfuse, mlflow, openinference, otel_genai, traceloop, vercel
from gimbal.axis.traces.dialects.reading import Reading
from gimbal.axis.traces.otlp import RawSpan

DIALECTS = (openinference, langfuse, vercel, mlflow, traceloop, otel_genai, generic)

NAMES = frozenset({"openinference", "langfuse", "vercel-ai", "mlflow", "traceloop", "otel-genai", "generic"})
"""What `Reading.dialect` may be: spans that bear one of them were read here."""


# The whole stays in the event.
_MOST_MESSAGE = 10_000
# What Python and JavaScript raise, and Java throws, in what is stopped because nobody waits for it any more.
_STOPPED = frozenset({"CancelledError", "Cancelled", "GeneratorExit", "AbortError", "CancellationException"})


def read(raw: RawSpan) -> Reading:
    """Return what a span says, by the first dialect that knows it."""
    for dialect in DIALECTS:
        if dialect.claims(raw):
            return dialect.read(raw)
    return generic.read(raw)


def ended(raw: RawSpan) -> str:
    """Return the status of a span: what was stopped from outside did not fail, though most instrumentations say error."""
    if raw.status != "error":
        return raw.status
    error = next(
        (e["attributes"].get("exception.type") for e in reversed(raw.events) if e["name"] == "exception"), None
    )
    # Names of types are written with their modules or packages, or as Python shows a class: <class 'a.B'>.
    name = str(error or raw.attributes.get("error.type") or "").rpartition(".")[2].rstrip("'>")
    return "cancelled" if name in _STOPPED else "error"


def told(raw: RawSpan) -> str:
    """Return the message of a span's status; where a failed one has none, that of the exception it recorded."""
    if raw.status_message or raw.status != "error":
        return raw.status_message
    for event in reversed(raw.events):
        if event["name"] == "exception":
            said = event["attributes"].get("exception.message")
            return said[:_MOST_MESSAGE] if isinstance(said, str) else ""
    return ""
