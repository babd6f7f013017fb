"""OTLP requests as instrumentations send them, in protobuf and in JSON."""

import base64
import itertools
from collections.abc import Mapping
from typing import Any

import httpx
from google.protobuf import json_format
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF, JSON = "application/x-protobuf", "application/json"
START = 1_770_000_000_000_000
"""Microseconds at which test traces start."""
_numbers = itertools.count(1)


def value(given: Any) -> AnyValue:
    """Return an attribute value of the wire."""
    if isinstance(given, bool):
        return AnyValue(bool_value=given)
    if isinstance(given, str):
        return AnyValue(string_value=given)
    if isinstance(given, int):
        return AnyValue(int_value=given)
    if isinstance(given, float):
        return AnyValue(double_value=given)
    if isinstance(given, bytes):
        return AnyValue(bytes_value=given)
    if isinstance(given, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(given)))
    if given is None:
        return AnyValue()
    return AnyValue(array_value=ArrayValue(values=[value(item) for item in given]))


def pairs(given: Mapping[str, Any]) -> list[KeyValue]:
    """Return attributes of the wire."""
    return [KeyValue(key=key, value=value(item)) for key, item in given.items()]


def trace_id() -> str:
    """Return a new trace id, the same in every run."""
    return f"{next(_numbers):032x}"


def span(
    trace: str,
    number: int,
    parent: int | None = None,
    *,
    name: str = "step",
    at_ms: float | None = None,
    ms: float = 10,
    attributes: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Span:
    """Return a span; `number` is its id and, without `at_ms`, the millisecond at which it starts."""
    start = START + round(1000 * (number if at_ms is None else at_ms))
    given: dict[str, Any] = {
        "trace_id": bytes.fromhex(trace),
        "span_id": number.to_bytes(8, "big"),
        "parent_span_id": b"" if parent is None else parent.to_bytes(8, "big"),
        "name": name,
        "start_time_unix_nano": start * 1000,
        "end_time_unix_nano": (start + round(ms * 1000)) * 1000,
        "attributes": pairs(attributes or {}),
    }
    return Span(**(given | fields))


def chat(
    trace: str, number: int, parent: int | None = None, *, tokens: tuple[int, int] = (1000, 100), **fields: Any
) -> Span:
    """Return a model call of gpt-4o with its usage: by the book 0.0035 dollars for the default."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
    }
    return span(
        trace,
        number,
        parent,
        **{"name": "chat gpt-4o", **fields, "attributes": attributes | fields.get("attributes", {})},
    )


def request(*spans: Span, resource: Mapping[str, Any] | None = None, scope: str = "test") -> ExportTraceServiceRequest:
    """Return a request with these spans under one resource and scope."""
    found = ExportTraceServiceRequest()
    group = found.resource_spans.add()
    group.resource.attributes.extend(pairs(resource or {"service.name": "shop"}))
    part = group.scope_spans.add()
    part.scope.name, part.scope.version = scope, "1.0"
    part.spans.extend(spans)
    return found


def event(trace: str, number: int, name: str, body: Any = None, *, at_ms: float = 1, **fields: Any) -> LogRecord:
    """Return a log record that is the event `name` of the span `number`; `attributes` and others as the wire has them."""
    given: dict[str, Any] = {
        "trace_id": bytes.fromhex(trace),
        "span_id": number.to_bytes(8, "big"),
        "observed_time_unix_nano": (START + round(1000 * at_ms)) * 1000,
        "event_name": name,
        "body": value(body),
    }
    return LogRecord(**(given | fields | {"attributes": pairs(fields.get("attributes") or {})}))


def evaluation(trace: str, number: int, *, at_ms: float = 1, **said: Any) -> LogRecord:
    """Return the log record of an evaluation of the span `number`; `said` are attributes by their last word."""
    names = {
        "name": "gen_ai.evaluation.name",
        "value": "gen_ai.evaluation.score.value",
        "label": "gen_ai.evaluation.score.label",
        "explanation": "gen_ai.evaluation.explanation",
        "error": "error.type",
    }
    attributes = {names[word]: what for word, what in said.items()}
    return event(trace, number, "gen_ai.evaluation.result", at_ms=at_ms, attributes=attributes)


def logs(*records: LogRecord, resource: Mapping[str, Any] | None = None) -> ExportLogsServiceRequest:
    """Return a request with these log records under one resource and scope."""
    found = ExportLogsServiceRequest()
    group = found.resource_logs.add()
    group.resource.attributes.extend(pairs(resource or {"service.name": "shop"}))
    part = group.scope_logs.add()
    part.scope.name, part.scope.version = "test", "1.0"
    part.log_records.extend(records)
    return found


def logs_as_json(given: ExportLogsServiceRequest) -> dict[str, Any]:
    """Return the OTLP JSON of a request of log records, with hex ids."""
    document = json_format.MessageToDict(given)
    for group in document["resourceLogs"]:
        for part in group["scopeLogs"]:
            for one in part["logRecords"]:
                for key in {"traceId", "spanId"} & set(one):
                    one[key] = base64.b64decode(one[key]).hex()
    return document


def as_json(given: ExportTraceServiceRequest, *, hex_ids: bool = True) -> dict[str, Any]:
    """Return the OTLP JSON of a request: 64-bit numbers are texts, ids hex (or base64, as generic writers have them)."""
    document = json_format.MessageToDict(given)
    if hex_ids:
        for group in document["resourceSpans"]:
            for part in group["scopeSpans"]:
                for one in part["spans"]:
                    for key in {"traceId", "spanId", "parentSpanId"} & set(one):
                        one[key] = base64.b64decode(one[key]).hex()
    return document


def told(reply: httpx.Response) -> dict[str, str]:
    """Return what an error answer says, from the form of the request: code, message, where, kept and todo."""
    if reply.headers["content-type"] != PROTOBUF:
        return reply.json()["error"]
    status, info = Status.FromString(reply.content), ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "gimbal"
    return {"code": info.reason, "message": status.message, **info.metadata}


def answered(content: bytes) -> ExportTraceServiceResponse:
    """Read a protobuf answer."""
    found = ExportTraceServiceResponse()
    found.ParseFromString(content)
    return found
