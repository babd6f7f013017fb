"""Conventions of instrumentations, one file each: which spans are theirs, and how they say what we keep.

`read` asks them in order; the first whose attributes or scope are there reads the span, `generic` takes the rest.
"""

from gimbal.axis.traces.dialects import generic, openinference, otel_genai
from gimbal.axis.traces.dialects.reading import Reading
from gimbal.axis.traces.otlp import RawSpan

DIALECTS = (openinference, otel_genai, generic)


def read(raw: RawSpan) -> Reading:
    """Return what a span says, by the first dialect that knows it."""
    for dialect in DIALECTS:
        if dialect.claims(raw):
            return dialect.read(raw)
    return generic.read(raw)
