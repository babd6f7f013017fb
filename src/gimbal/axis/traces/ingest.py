"""The path of a span in: decode → dialect → limits → price → writer; answered only when it is durable."""

from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gimbal.axis.traces import otlp
from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.otlp import RawSpan, Rejected
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import TooLarge
from gimbal.kernel.settings import Settings

_json = msgspec.json.Encoder(enc_hook=str)
_MOST_NAME, _MOST_MESSAGE = 1000, 10_000
# Bytes of a long value that stay beside the reference to the whole.
_START = 1000


async def ingest(ctx: Context, request: ExportTraceServiceRequest) -> list[Rejected]:
    """Store the spans of one OTLP request durably; return those that were rejected.

    Raise TooLarge for too many spans, Busy and Unavailable from the writer; then nothing of the request is stored.
    """
    limits = ctx.get(Settings).limits
    good: list[RawSpan] = []
    rejected: list[Rejected] = []
    for raw in otlp.spans(request):
        if isinstance(raw, Rejected):
            rejected.append(raw)
        else:
            good.append(raw)
        if len(good) > limits.spans_per_request:
            raise TooLarge(
                f"A request may have {limits.spans_per_request} spans.",
                where="resource_spans",
                kept="nothing of this request",
                todo="Lower the exporter's batch size, or raise limits.spans_per_request.",
            )
    await ctx.get(Traces).record(ctx, [await _normal(ctx, raw, limits.span_attribute_bytes) for raw in good])
    return rejected


async def _normal(ctx: Context, raw: RawSpan, most: int) -> Span:
    """Return the span in normal form; what is longer than `most` bytes goes to the blobs and is marked."""
    truncated = len(raw.name) > _MOST_NAME or len(raw.status_message) > _MOST_MESSAGE
    # The resource is one object for all spans beneath it: only the first of them finds anything to move.
    for values in (raw.attributes, *(event["attributes"] for event in raw.events), raw.resource):
        truncated |= await _to_blobs(ctx, values, most)
    seen = read(raw)
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id,
        remote_parent=raw.remote_parent,
        name=raw.name[:_MOST_NAME],
        kind=seen.kind,
        start_us=raw.start_us,
        end_us=raw.end_us,
        status=raw.status,
        status_message=raw.status_message[:_MOST_MESSAGE],
        provider=seen.provider,
        model=seen.model,
        usage=seen.usage,
        first_token_us=seen.first_token_us,
        finish=seen.finish,
        input=_text(seen.input),
        output=_text(seen.output),
        documents=seen.documents,
        session_id=seen.session_id,
        user_id=seen.user_id,
        feature=seen.feature,
        refs=seen.refs,
        attributes=raw.attributes,
        events=raw.events,
        resource=raw.resource,
        scope=f"{raw.scope} {raw.scope_version}".strip(),
        dialect=seen.dialect,
        truncated=truncated,
    )


async def _to_blobs(ctx: Context, values: dict[str, Any], most: int) -> bool:
    """Move the values that are too long to the blobs, in place; tell whether there was one."""
    moved = False
    for name, value in list(values.items()):
        if not isinstance(value, str | list | dict):
            continue
        # No character has more than four bytes: most texts need not be encoded to see that they are short.
        if isinstance(value, str) and len(value) * 4 <= most:
            continue
        whole = value.encode() if isinstance(value, str) else _json.encode(value)
        if len(whole) > most:
            blob = await ctx.get(Blobs).put(whole)
            values[name] = {"blob": blob.digest, "size": blob.size, "start": whole[:_START].decode(errors="ignore")}
            moved = True
    return moved


def _text(value: Any) -> str:
    return "" if value is None or value == [] else _json.encode(value).decode()
