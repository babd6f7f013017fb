"""Traces: what happened, span by span, from any instrumentation, in one normal form with the raw attributes kept.

`ingest` takes OTLP over HTTP and gRPC; the gateway and serving record through `service.Traces`. Acknowledged means
durable: the sender is answered after the writer's commit.
"""

from gimbal.axis.traces.model import Document, Span, SpansStored, Trace, TraceSummary

__all__ = ["Document", "Span", "SpansStored", "Trace", "TraceSummary"]
