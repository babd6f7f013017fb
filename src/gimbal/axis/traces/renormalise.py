"""Reading stored spans anew from the attributes that were kept, when a dialect has learned something."""

from datetime import datetime
from typing import Any

import msgspec

from gimbal.axis.traces import dialects
from gimbal.axis.traces.model import Renormalised, Span
from gimbal.axis.traces.otlp import RawSpan
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import cursor_text

MOST_TRACES = 10_000
_NO_END = 2**63 - 1
_json = msgspec.json.Encoder(enc_hook=str)


async def renormalise(
    ctx: Context, since: datetime, until: datetime | None, *, cursor: str | None = None, limit: int = MOST_TRACES
) -> Renormalised:
    """Read the traces of a stretch of time anew and store what differs; a second time nothing does.

    Raise BadInput for a limit below 1 or above 10,000, or a stretch that ends before it begins.
    """
    if not 1 <= limit <= MOST_TRACES:
        raise BadInput(f"The limit is {limit}.", where="limit", todo=f"Give one from 1 to {MOST_TRACES}.")
    between = to_us(since), _NO_END if until is None else to_us(until)
    if between[1] < between[0]:
        raise BadInput("The stretch of time ends before it begins.", where="until", todo="Give a later moment.")
    after = cursor_text(cursor, "id") if cursor else ""
    return await ctx.get(Traces).reread(ctx, between, derived, after=after, most=limit)


def derived(span: Span) -> Span:
    """Return a span as it would be stored if it came now; what did not come by OTLP is as it was."""
    if span.dialect not in dialects.NAMES:
        return span
    seen = dialects.read(_raw(span))
    return msgspec.structs.replace(
        span,
        kind=seen.kind,
        provider=seen.provider,
        model=seen.model,
        usage=seen.usage,
        first_token_us=seen.first_token_us,
        finish=seen.finish,
        input=text_of(seen.input),
        output=text_of(seen.output),
        documents=seen.documents,
        session_id=seen.session_id,
        user_id=seen.user_id,
        feature=seen.feature,
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
