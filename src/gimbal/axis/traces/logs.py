"""GenAI events that come as OTLP log records, each checked by itself: the newer conventions send messages so.

Gimbal keeps no logs: a record whose event is not of `gen_ai.` is rejected with that reason. The event's name is a field of
its own, or in older versions the attribute `event.name`; what it says is in the attributes, or in the body where that is a
map. Sources: opentelemetry-proto 1.x, logs; open-telemetry/semantic-conventions-genai, events.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from gimbal.axis.traces.judgements import EVENT
from gimbal.axis.traces.otlp import Nesting, Rejected, attributes, plain

_PREFIX = "gen_ai."
_OLD_NAME = "event.name"
RESPONSE = "gen_ai.response.id"
_LONGEST_NAME = 200
_LAST_NS = 2**63 - 1
_TRACE_BYTES, _SPAN_BYTES = 16, 8


class RawEvent(msgspec.Struct, kw_only=True):
    """An event as it came, attributes and body in one as plain JSON values."""

    trace_id: str
    """Empty for an evaluation that names only the provider's answer: then the span with that one is meant."""
    span_id: str
    """Empty for an evaluation of a whole trace."""
    at_ns: int
    name: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    position: int
    """Its place in the request, for those of one moment."""
    deep: int = 0
    """Parts of values that were nested too deep and became JSON text."""


def events(request: ExportLogsServiceRequest, depth: int = 32) -> Iterator[RawEvent | Rejected]:
    """Yield every GenAI event of a request, or why a record is not stored; deeper than `depth` becomes text."""
    position = 0
    for group in request.resource_logs:
        resource = attributes(group.resource.attributes, Nesting(depth))
        for part in group.scope_logs:
            scope = f"{part.scope.name} {part.scope.version}".strip()[:_LONGEST_NAME]
            for record in part.log_records:
                yield _event(record, resource, scope, position, Nesting(depth))
                position += 1


def _event(
    record: LogRecord, resource: dict[str, Any], scope: str, position: int, nesting: Nesting
) -> RawEvent | Rejected:
    name = record.event_name or _old_name(record)
    at_ns = record.time_unix_nano or record.observed_time_unix_nano
    flaw = _flaw(record, name, at_ns)
    if flaw:
        named = record.span_id.hex() if len(record.span_id) == _SPAN_BYTES else ""
        return Rejected(span_id=named, name=name[:100], code=flaw)
    said = attributes(record.attributes, nesting)
    said.pop(_OLD_NAME, None)
    body = plain(record.body, nesting)
    return RawEvent(
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex() if any(record.span_id) else "",
        at_ns=at_ns,
        name=name,
        attributes={**body, **said} if isinstance(body, dict) else said if body is None else {"body": body, **said},
        resource=resource,
        scope=scope,
        position=position,
        deep=nesting.cut,
    )


def _old_name(record: LogRecord) -> str:
    return next((pair.value.string_value for pair in record.attributes if pair.key == _OLD_NAME), "")


def _names_answer(record: LogRecord) -> bool:
    """Tell whether an evaluation names the answer that it judges, which the convention has it do without a span."""
    return any(pair.key == RESPONSE and pair.value.string_value for pair in record.attributes)


def _flaw(record: LogRecord, name: str, at_ns: int) -> str:
    """Return which of `otlp.REASONS` keeps a record from being stored, or an empty text."""
    if not name.startswith(_PREFIX) or len(name) > _LONGEST_NAME:
        return "not_genai"
    if not any(record.trace_id):
        return "" if name == EVENT and _names_answer(record) and 0 < at_ns <= _LAST_NS else "no_span"
    if len(record.trace_id) != _TRACE_BYTES:
        return "bad_trace_id"
    # An evaluation without a span is one of the trace.
    if not any(record.span_id):
        if name != EVENT:
            return "no_span"
    elif len(record.span_id) != _SPAN_BYTES:
        return "bad_span_id"
    return "" if 0 < at_ns <= _LAST_NS else "no_time"
