"""Spans that come as a file: MLflow's clients before 3.4 put `traces.json` beside a trace instead of sending its spans.

The file stays as it came, for those clients read it back; its spans are stored like those that come to `/v1/traces`. Source:
`Span.to_dict` of mlflow 2.22 (ids in hex, times in `start_time`) and 3.2 (ids in base64, times in `start_time_unix_nano`).
"""

import base64
from typing import Any

import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.traces.ingest import ingest
from gimbal.faces.mlflow.trace_reading import trace_of
from gimbal.faces.mlflow.trace_spans import attributes_of, base64_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError

FILE = "traces.json"
_MOST_BYTES = 64 << 20
_CODES = {
    "OK": "STATUS_CODE_OK", "ERROR": "STATUS_CODE_ERROR", "STATUS_CODE_OK": "STATUS_CODE_OK",
    "STATUS_CODE_ERROR": "STATUS_CODE_ERROR",
}  # fmt: skip


async def take(ctx: Context, owner: Owner) -> None:
    """Store the spans of the file of a trace durably; raise BadInput for a file that has none, NotFound for no trace."""
    row = await trace_of(ctx, owner.id.rpartition("/")[2])
    found = await ctx.get(Artifacts).open(owner, FILE)
    if (found.size or 0) > _MOST_BYTES:
        raise _unreadable("it is too large")
    content = b"".join([chunk async for chunk in found.chunks])
    try:
        spans = [_wire(one, row.trace_id) for one in msgspec.json.decode(content)["spans"]]
        request = ParseDict({"resource_spans": [{"scope_spans": [{"spans": spans}]}]}, ExportTraceServiceRequest())
    except (msgspec.DecodeError, ParseError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as wrong:
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


def _wire(span: dict[str, Any], trace_id: str) -> dict[str, Any]:
    """Return a span as OTLP's JSON of protobuf."""
    old = "context" in span
    status = {"code": span.get("status_code"), "message": span.get("status_message")} if old else span["status"]
    parent = span.get("parent_id" if old else "parent_span_id")
    return {
        "trace_id": base64_of(trace_id),
        "span_id": _hex(span["context"]["span_id"]) if old else _base64(span["span_id"]),
        "parent_span_id": "" if not parent else _hex(parent) if old else _base64(parent),
        "name": span["name"],
        "start_time_unix_nano": span["start_time" if old else "start_time_unix_nano"],
        "end_time_unix_nano": span["end_time" if old else "end_time_unix_nano"] or 0,
        "attributes": attributes_of({name: _plain(value) for name, value in span["attributes"].items()}),
        "events": [
            {
                "time_unix_nano": event["timestamp" if old else "time_unix_nano"],
                "name": event["name"],
                "attributes": attributes_of(event.get("attributes") or {}),
            }
            for event in span.get("events") or []
        ],
        "status": {
            "code": _CODES.get(str(status.get("code")), "STATUS_CODE_UNSET"),
            "message": status.get("message") or "",
        },
    }


def _hex(text: str) -> str:
    """Return the id of a span as protobuf's JSON has it; it comes in hex digits, from the oldest clients behind 0x."""
    return base64_of(f"{int(text, 16):016x}")


def _base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


def _plain(value: Any) -> Any:
    """Return the value of an attribute: each is the JSON text of it."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return value
