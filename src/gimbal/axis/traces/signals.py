"""The signals of OTLP that are taken in, spans and log records: where their records stand in a request.

Requests of both are alike: records in groups of a scope in groups of a resource, under the same field numbers. What
reads, mends and answers them (`otlp`, `salvage`, `grpc`, `dialect`) is told by a `Signal` which of the two it has.
"""

from typing import Any, Generic, TypeVar

import msgspec
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

R = TypeVar("R", bound=Message)


class Signal(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """One kind of telemetry on the wire."""

    what: str
    """What its requests are of: `trace`, `logs`."""
    request: type[R]
    response: type[Message]
    record: type[Message]
    groups: str
    """Field of the request with the groups of a resource; in JSON the first of `json_groups`."""
    parts: str
    """Field of a group with the groups of a scope."""
    records: str
    """Field of those with the records."""
    rejected: str
    """Field of `partial_success` with the number of rejected records."""
    service: str
    """The collector's gRPC service."""
    span_id: int
    """Number of the record's field with the id of the span."""
    name: int
    """Number of the record's field with its name."""
    name_field: str
    """The same field in JSON."""

    def any_in(self, request: Message) -> bool:
        """Tell whether a request has any record."""
        return any(getattr(part, self.records) for group in self.groups_of(request) for part in self.parts_of(group))

    def count(self, request: Message) -> int:
        """Return how many records a request has."""
        return sum(len(getattr(p, self.records)) for group in self.groups_of(request) for p in self.parts_of(group))

    def groups_of(self, request: Message) -> Any:
        """Return the groups of a resource."""
        return getattr(request, self.groups)

    def parts_of(self, group: Message) -> Any:
        """Return the groups of a scope."""
        return getattr(group, self.parts)

    def json_groups(self, document: dict[str, Any]) -> Any:
        """Return the groups of a resource in JSON, by either spelling of the field."""
        return document.get(_camel(self.groups)) or document.get(self.groups) or []

    def json_parts(self, group: dict[str, Any]) -> Any:
        """Return the groups of a scope in JSON."""
        return group.get(_camel(self.parts)) or group.get(self.parts) or []

    def json_records(self, part: dict[str, Any]) -> Any:
        """Return the records in JSON."""
        return part.get(_camel(self.records)) or part.get(self.records) or []


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


SPANS = Signal(
    what="trace",
    request=ExportTraceServiceRequest,
    response=ExportTraceServiceResponse,
    record=Span,
    groups="resource_spans",
    parts="scope_spans",
    records="spans",
    rejected="rejected_spans",
    service="opentelemetry.proto.collector.trace.v1.TraceService",
    span_id=2,
    name=5,
    name_field="name",
)
LOGS = Signal(
    what="logs",
    request=ExportLogsServiceRequest,
    response=ExportLogsServiceResponse,
    record=LogRecord,
    groups="resource_logs",
    parts="scope_logs",
    records="log_records",
    rejected="rejected_log_records",
    service="opentelemetry.proto.collector.logs.v1.LogsService",
    span_id=10,
    name=12,
    name_field="eventName",
)
