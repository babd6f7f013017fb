"""What a span says by the attributes and events it came with: its fields as they would be read if it came now."""

from typing import Any

import msgspec

from gimbal.axis.traces import dialects
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.otlp import RawSpan

_json = msgspec.json.Encoder(enc_hook=str)
EXPIRED = "gimbal.retention"
"""The attribute of a span whose content is past its term: it cannot be read anew, and what it says stays."""


def derived(span: Span) -> Span:
    """Return a span as it would be stored if it came now; what did not come by OTLP is as it was."""
    if span.dialect not in dialects.NAMES or EXPIRED in span.attributes:
        return span
    raw = _raw(span)
    seen = dialects.read(raw)
    return msgspec.structs.replace(
        span,
        kind=seen.kind,
        status=dialects.ended(raw),
        status_message=dialects.told(raw),
        provider=seen.provider,
        model=seen.model,
        usage=seen.usage,
        estimated=seen.estimated,
        cached=seen.cached,
        first_token_us=seen.first_token_us,
        finish=seen.finish,
        response_id=seen.response_id,
        input=text_of(seen.input),
        output=text_of(seen.output),
        documents=seen.documents,
        session_id=seen.session_id,
        user_id=seen.user_id,
        feature=seen.feature,
        endpoint=seen.endpoint,
        key_id=seen.key_id,
        tags=seen.tags,
        refs=seen.refs,
        dialect=seen.dialect,
    )


def text_of(value: Any) -> str:
    """Return a value as JSON text; an empty one for nothing."""
    return "" if value is None or value == [] else _json.encode(value).decode()


def _raw(span: Span) -> RawSpan:
    scope, _, version = span.scope.partition(" ")
    return RawSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        remote_parent=span.remote_parent,
        name=span.name,
        otel_kind="",
        start_us=span.start_us,
        end_us=span.end_us,
        status=span.status,
        status_message=span.status_message,
        attributes=span.attributes,
        events=span.events,
        resource=span.resource,
        scope=scope,
        scope_version=version,
    )
