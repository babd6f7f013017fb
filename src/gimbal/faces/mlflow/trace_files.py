"""Spans that come as a file: MLflow's clients before 3.4 put `traces.json` beside a trace instead of sending its spans.

The file stays as it came, but for what the project redacts, for those clients read it back; its spans are stored like those that come to `/v1/traces`. Source:
`Span.to_dict` of mlflow 2.22 (ids in hex, times in `start_time`) and 3.2 (ids in base64, times in `start_time_unix_nano`).
"""

import asyncio
import base64
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.engines.storage.blobs import Blobs
from gimbal.faces.mlflow.trace_reading import own_trace_id, trace_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import Upload
from gimbal.kernel.settings import Settings

FILE = "traces.json"
_JSON = "application/json"
_LARGEST = 2**63
_UNSET = Status.STATUS_CODE_UNSET
_CODES = {
    "OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR, "STATUS_CODE_OK": Status.STATUS_CODE_OK,
    "STATUS_CODE_ERROR": Status.STATUS_CODE_ERROR,
}  # fmt: skip


async def put(ctx: Context, owner: Owner, body: Upload) -> None:
    """Keep the file of a trace as the project's redaction lets it be stored, and its spans, both durably.

    What the project's sampling leaves out is not kept. Raise TooLarge for a file that cannot be read at once, BadInput for
    one that has no spans, NotFound for no trace.
    """
    trace_id = own_trace_id(owner.id.rpartition("/")[2])
    body.limit = min(body.limit, ctx.get(Settings).server.max_body_bytes)
    content = await body.read()
    if not await ctx.get(TraceFacts).takes(ctx, trace_id):
        return
    row = await trace_of(ctx, trace_id)
    redactor = await redactor_of(ctx)
    kept = content if redactor is None else await asyncio.to_thread(redactor.content, ctx, content, _JSON)
    await ctx.get(Artifacts).refer(ctx, owner, FILE, (await ctx.get(Blobs).put(kept)).digest, _JSON)
    try:
        # A file may have many spans: others are answered meanwhile.
        request = await asyncio.to_thread(_request, content, trace_id)
    except (
        msgspec.DecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as wrong:
        raise _unreadable(f"it cannot be read: {type(wrong).__name__}") from None
    if rejected := await ingest(ctx, request, experiment=row.experiment):
        raise _unreadable(f"{len(rejected)} of its spans were rejected, the first as {rejected[0].code}")


def _unreadable(why: str) -> GimbalError:
    return BadInput(
        f"The spans in {FILE} are not stored: {why}.",
        where=FILE,
        kept="the file",
        todo="Clients from 3.4 on send spans to /v1/traces.",
    )


def _request(content: bytes, trace_id: str) -> ExportTraceServiceRequest:
    spans = [_span(one, bytes.fromhex(trace_id)) for one in msgspec.json.decode(content)["spans"]]
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])


def _span(said: dict[str, Any], trace_id: bytes) -> Span:
    """Return a span of a file as OTLP has it."""
    old = "context" in said
    status = {"code": said.get("status_code"), "message": said.get("status_message")} if old else said["status"]
    parent = said.get("parent_id" if old else "parent_span_id")
    read = _of_hex if old else _of_base64
    return Span(
        trace_id=trace_id,
        span_id=read(said["context"]["span_id"] if old else said["span_id"]),
        parent_span_id=read(parent) if parent else b"",
        name=said["name"],
        start_time_unix_nano=said["start_time" if old else "start_time_unix_nano"],
        end_time_unix_nano=said["end_time" if old else "end_time_unix_nano"] or 0,
        attributes=_attributes({name: _plain(value) for name, value in said["attributes"].items()}),
        events=[
            Span.Event(
                time_unix_nano=event["timestamp" if old else "time_unix_nano"],
                name=event["name"],
                attributes=_attributes(event.get("attributes") or {}),
            )
            for event in said.get("events") or []
        ],
        status=Status(code=_CODES.get(str(status.get("code")), _UNSET), message=status.get("message") or ""),
    )


def _of_hex(text: str) -> bytes:
    """Return the id of a span; it comes in hex digits, from the oldest clients behind 0x."""
    return int(text, 16).to_bytes(8, "big")


def _of_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _plain(value: Any) -> Any:
    """Return the value of an attribute: each is the JSON text of it."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return value


def _attributes(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in values.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if -_LARGEST <= value < _LARGEST else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=_attributes(value)))
    return AnyValue()
