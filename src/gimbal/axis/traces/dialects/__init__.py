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


def read(raw: RawSpan) -> Reading:
    """Return what a span says, by the first dialect that knows it."""
    for dialect in DIALECTS:
        if dialect.claims(raw):
            return dialect.read(raw)
    return generic.read(raw)
