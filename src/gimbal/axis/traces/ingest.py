"""The path of a span in: decode → dialect → limits → price → writer; answered only when it is durable."""

from typing import Any

import msgspec

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


async def ingest(ctx: Context, body: bytes, media_type: str) -> list[Rejected]:
    """Store the spans of one OTLP request durably; return those that were rejected.

    Raise CorruptUpload for a body that is no request, TooLarge for too many spans, Busy and Unavailable from the
    writer; then nothing of the request is stored.
    """
    limits = ctx.get(Settings).limits
    kept: list[Span] = []
    rejected: list[Rejected] = []
    for raw in otlp.spans(otlp.parse(body, media_type)):
        if isinstance(raw, Rejected):
            rejected.append(raw)
            continue
        kept.append(await _normal(ctx, raw, limits.span_attribute_bytes))
        if len(kept) > limits.spans_per_request:
            raise TooLarge(
                f"A request may have {limits.spans_per_request} spans.",
                where="resource_spans",
                kept="nothing of this request",
                todo="Lower the exporter's batch size, or raise limits.spans_per_request.",
            )
    await ctx.get(Traces).record(ctx, kept)
    return rejected


async def _normal(ctx: Context, raw: RawSpan, most: int) -> Span:
    """Return the span in normal form; what is longer than `most` bytes goes to the blobs and is marked."""
    truncated = False
    values = raw.attributes
    for name, value in list(values.items()):
        if isinstance(value, str) and len(value) > most:
            values[name] = await _to_blob(ctx, value)
            truncated = True
    seen = read(raw)
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id,
        remote_parent=raw.remote_parent,
        name=raw.name[:1000],
        kind=seen.kind,
        start_us=raw.start_us,
        end_us=raw.end_us,
        status=raw.status,
        status_message=raw.status_message[:10_000],
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
        attributes=values,
        events=raw.events,
        resource=raw.resource,
        scope=f"{raw.scope} {raw.scope_version}".strip(),
        dialect=seen.dialect,
        truncated=truncated,
    )


async def _to_blob(ctx: Context, value: str) -> dict[str, Any]:
    blob = await ctx.get(Blobs).put(value.encode())
    return {"blob": blob.digest, "size": blob.size, "start": value[:1000]}


def _text(value: Any) -> str:
    return "" if value is None or value == [] else _json.encode(value).decode()
