"""OTLP on the wire: protobuf and JSON into raw spans, each checked by itself, so that one bad span rejects no other.

Sources: opentelemetry-proto 1.x; the OTLP specification (JSON: hex ids, 64-bit numbers as text, unknown fields
ignored; `partial_success` for what was rejected).
"""

import base64
import binascii
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from gimbal.axis.traces import salvage
from gimbal.axis.traces.signals import SPANS, R, Signal
from gimbal.kernel.errors import CorruptUpload

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_IDS = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")
_json = msgspec.json.Encoder(enc_hook=str)
# So many rejected spans are named one by one in an answer; of the rest it says how many there are for which reason.
_MOST_NAMED = 200
_JSON_ERRORS = (
    msgspec.DecodeError, json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError,
)  # fmt: skip
# Bytes of a trace id and of a span id.
_ID_BYTES = (16, 8)
# Stands for an id that could not be read, so that the span is rejected for it.
_NO_ID = b"\0"
_STATUS = {0: "unset", 1: "ok", 2: "error"}
# Bits of Span.flags: whether it is known, and whether, that the parent is remote.
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200
# Kinds of value that are what they are; the others need a look.
_SIMPLE = frozenset({"string_value", "int_value", "bool_value"})
_NESTED = frozenset({"array_value", "kvlist_value"})
# Why a span or an event cannot be stored, by the name that the counters have for it.
REASONS = {
    "bad_trace_id": "the trace id is not 16 bytes, or zero",
    "bad_span_id": "the span id is not 8 bytes, or zero",
    "bad_parent_id": "the parent's id is not 8 bytes",
    "no_start": "it has no start time",
    "unreadable": "it cannot be decoded: malformed, nested too deep, or a text that is not UTF-8",
    "not_genai": "Gimbal keeps GenAI events, not logs",
    "no_span": "it belongs to no span: the trace or span id is missing",
    "no_answer": "it judges an answer (gen_ai.response.id) that no stored span has",
    "no_time": "it has neither a time nor an observed time",
    "no_score": "it names no evaluation, or one of more than 200 characters",
}
_SPAN_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class RawSpan(msgspec.Struct, kw_only=True):
    """A span as it came, attributes as plain JSON values."""

    trace_id: str
    span_id: str
    parent_id: str
    remote_parent: bool
    name: str
    otel_kind: str
    start_us: int
    end_us: int
    status: str
    status_message: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    resource: dict[str, Any]
    scope: str
    scope_version: str
    links: list[dict[str, Any]] = []
    trace_state: str = ""
    """As W3C has it; the sender's sampling is in it."""
    weight: float = 1.0
    """For how many spans it stands."""
    randomness: int | None = None
    """What `trace_state` says that it was drawn by."""
    deep: int = 0
    """Parts of values that were nested too deep and became JSON text."""
    early_end_us: int | None = None
    """The end as it came, where it was before the start."""


class Nesting:
    """How deep values may be, and how many parts of them were deeper."""

    __slots__ = ("cut", "most")

    def __init__(self, most: int = 32) -> None:
        self.most, self.cut = most, 0


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A span or an event that was not stored, and why."""

    span_id: str
    name: str
    code: str
    """One of `REASONS`."""

    @property
    def reason(self) -> str:
        """Why, in words."""
        return REASONS[self.code]


def read(body: bytes, media_type: str) -> tuple[ExportTraceServiceRequest, list[Rejected]]:
    """Read a request and tell which of its spans cannot be decoded; raise CorruptUpload when it has none that can."""
    return records(body, media_type, SPANS)


def records(body: bytes, media_type: str, signal: Signal[R]) -> tuple[R, list[Rejected]]:
    """Read a request of either signal, as `read` does."""
    try:
        return _parse(body, media_type, signal), []
    except CorruptUpload:
        try:
            found, lost = (
                salvage.parsed(_document(body, signal), signal)
                if media_type == JSON
                else salvage.protobuf(body, signal)
            )
        except (salvage.Unreadable, *_JSON_ERRORS):
            found, lost = signal.request(), []
        if not signal.any_in(found):
            raise
        return found, [Rejected(span_id=one.span_id, name=one.name, code="unreadable") for one in lost]


def parse(body: bytes, media_type: str) -> ExportTraceServiceRequest:
    """Read a request of spans; raise CorruptUpload when it is not one."""
    return _parse(body, media_type, SPANS)


def _parse(body: bytes, media_type: str, signal: Signal[R]) -> R:
    if media_type == JSON:
        return _parse_json(body, signal)
    request = signal.request()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise CorruptUpload(
            f"The body is not an OTLP {signal.what} request.", where="body", todo="Check the exporter."
        ) from None
    return request


def _parse_json(body: bytes, signal: Signal[R]) -> R:
    try:
        return json_format.ParseDict(_document(body, signal), signal.request(), ignore_unknown_fields=True)
    except _JSON_ERRORS as problem:
        raise CorruptUpload(
            f"The body is not OTLP JSON: {str(problem)[:200]}.", where="body", todo="Ids are hex, 64-bit numbers text."
        ) from None


def _document(body: bytes, signal: Signal[Any]) -> dict[str, Any]:
    document = msgspec.json.decode(body, type=dict[str, Any])
    _ids_to_base64(document, signal)
    return document


def _ids_to_base64(document: dict[str, Any], signal: Signal[Any]) -> None:
    """Turn the hex ids of OTLP JSON into what protobuf's JSON form has in their place."""
    for group in signal.json_groups(document):
        for part in signal.json_parts(group):
            for record in signal.json_records(part):
                for holder in _holders(record):
                    for key in _IDS:
                        if holder.get(key):
                            # A span whose id cannot be read is rejected by itself, with the reason.
                            holder[key] = base64.b64encode(_id_bytes(holder[key])).decode()


def _holders(span: Any) -> list[dict[str, Any]]:
    """Return what has ids of a span: itself and its links; what is no such thing is for the decoder to refuse."""
    if not isinstance(span, dict):
        return []
    links = span.get("links")
    return [span, *(link for link in links if isinstance(link, dict))] if isinstance(links, list) else [span]


def _id_bytes(text: Any) -> bytes:
    """Return the bytes of an id in hex, or in base64, as generic protobuf-to-JSON writers have it."""
    if not isinstance(text, str):
        return _NO_ID
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return _NO_ID
    return found if len(found) in _ID_BYTES else _NO_ID


def plain(value: AnyValue, nesting: Nesting | None = None, depth: int = 0) -> Any:
    """Return a value as plain JSON: bytes become base64, NaN and infinities their names, what is too deep JSON text."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind in _NESTED:
        nesting = nesting or Nesting()
        if depth == nesting.most:
            nesting.cut += 1
            # Protobuf itself allows a hundred messages within each other: this ends.
            return _json.encode(plain(value, Nesting(1000))).decode()
        if kind == "array_value":
            return [plain(item, nesting, depth + 1) for item in value.array_value.values]
        return attributes(value.kvlist_value.values, nesting, depth + 1)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value" and not math.isfinite(value.double_value):
        # JSON has no such numbers; OTLP's own JSON writes them as these texts.
        return "NaN" if math.isnan(value.double_value) else "Infinity" if value.double_value > 0 else "-Infinity"
    return getattr(value, kind)


def attributes(pairs: Iterable[KeyValue], nesting: Nesting | None = None, depth: int = 0) -> dict[str, Any]:
    """Return attributes as a dict; of a key that is there twice the last wins."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Most are texts: that is seen sooner than which kind they are.
        words = value.string_value
        if words:
            found[pair.key] = words
            continue
        kind = value.WhichOneof("value")
        found[pair.key] = getattr(value, kind) if kind in _SIMPLE else plain(value, nesting, depth)
    return found


def spans(request: ExportTraceServiceRequest, depth: int = 32) -> Iterator[RawSpan | Rejected]:
    """Yield every span of a request, or why it cannot be stored; what is nested deeper than `depth` becomes text."""
    for group in request.resource_spans:
        resource = attributes(group.resource.attributes, Nesting(depth))
        for part in group.scope_spans:
            scope, version = part.scope.name, part.scope.version
            for span in part.spans:
                yield _span(span, resource, scope, version, Nesting(depth))


def _span(span: WireSpan, resource: dict[str, Any], scope: str, version: str, nesting: Nesting) -> RawSpan | Rejected:
    flaw = _flaw(span)
    if flaw:
        named = span.span_id.hex() if len(span.span_id) == _ID_BYTES[1] else ""
        return Rejected(span_id=named, name=span.name[:100], code=flaw)
    start, end = span.start_time_unix_nano // 1000, span.end_time_unix_nano // 1000
    return RawSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        # Some senders write the parent of a root as zeros.
        parent_id=span.parent_span_id.hex() if any(span.parent_span_id) else "",
        remote_parent=any(span.parent_span_id) and _is_remote(span),
        name=span.name,
        otel_kind=_SPAN_KINDS.get(span.kind, ""),
        start_us=start,
        # A span that never ended is shown as a moment; its status tells that it is unset.
        end_us=max(end, start),
        status=_STATUS.get(span.status.code, "unset"),
        status_message=span.status.message,
        attributes=attributes(span.attributes, nesting),
        events=[
            {"name": e.name, "at_us": e.time_unix_nano // 1000, "attributes": attributes(e.attributes, nesting)}
            for e in span.events
        ],
        resource=resource,
        scope=scope,
        scope_version=version,
        links=[
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": attributes(link.attributes, nesting),
            }
            for link in span.links
        ],
        trace_state=span.trace_state,
        deep=nesting.cut,
        early_end_us=end if 0 < end < start else None,
    )


def _is_remote(span: WireSpan) -> bool:
    """Tell whether the parent is in another process; where the sender does not say, servers and consumers have it so."""
    if span.flags & _HAS_REMOTE:
        return bool(span.flags & _IS_REMOTE)
    return _SPAN_KINDS.get(span.kind) in {"server", "consumer"}


def _flaw(span: WireSpan) -> str:
    """Return which of `REASONS` keeps a span from being stored, or an empty text."""
    if len(span.trace_id) != _ID_BYTES[0] or not any(span.trace_id):
        return "bad_trace_id"
    if len(span.span_id) != _ID_BYTES[1] or not any(span.span_id):
        return "bad_span_id"
    if span.parent_span_id and len(span.parent_span_id) != _ID_BYTES[1]:
        return "bad_parent_id"
    return "" if span.start_time_unix_nano else "no_start"


def response(rejected: Sequence[Rejected], media_type: str, signal: Signal[Any] = SPANS) -> bytes:
    """Return the answer in the form of the request."""
    found = answer(rejected, signal)
    if media_type == JSON:
        return json_format.MessageToJson(found, indent=None).encode()
    return found.SerializeToString()


def answer(rejected: Sequence[Rejected], signal: Signal[Any] = SPANS) -> Any:
    """Return the answer; `partial_success` tells how many records were rejected, which, and why."""
    found: Any = signal.response()
    if rejected:
        told = [f"{r.span_id or 'no id'} ({r.name}): {r.reason}" for r in rejected[:_MOST_NAMED]]
        rest = Counter(r.reason for r in rejected[_MOST_NAMED:])
        told += [f"{count} more: {reason}" for reason, count in rest.items()]
        setattr(found.partial_success, signal.rejected, len(rejected))
        found.partial_success.error_message = "; ".join(told)
    return found
