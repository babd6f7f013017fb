"""Record: every call is one span of kind `llm`, with what went in, what came out, tokens, times and cost.

The span is durable when this returns. A full writer is tried again for a while; what cannot be recorded even then is
logged and counted, never hidden.
"""

import asyncio
from typing import Any

import msgspec

from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.call import Message
from gimbal.generative.gateway.flight import Flight
from gimbal.kernel.errors import Busy

_ATTEMPTS = 5
_DIALECT = "gimbal"


async def record(flight: Flight) -> None:
    """Store the call's span; raise Busy when the writer stays full."""
    # A context of its own: what it emits is published now, also when the caller's request has failed.
    ctx = flight.ctx.within(flight.ctx.project or "default")
    span = to_span(flight)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await ctx.get(Traces).record(ctx, [span])
            break
        except Busy as problem:
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(min(problem.retry_after or 0.1, 2.0))
    await ctx.settle()


def to_span(flight: Flight) -> Span:
    """Return the span of a call that has ended."""
    call = flight.call
    return Span(
        trace_id=call.trace.trace_id,
        span_id=flight.span_id,
        parent_id=call.trace.parent_id or "",
        remote_parent=call.trace.remote,
        name=f"chat {flight.shown_model}",
        kind="llm",
        start_us=flight.started_us,
        end_us=flight.ended_us or flight.started_us,
        status=flight.status,
        status_message=_message(flight),
        provider=flight.provider.pricing if flight.provider else "",
        model=flight.model or call.model,
        usage=flight.usage,
        estimated=flight.estimated,
        cost=flight.cost,
        unpriced=flight.unpriced or ("" if flight.usage else "not_answered"),
        price_book=flight.price_book,
        parts=flight.parts,
        first_token_us=flight.first_token_us,
        finish=flight.finish,
        input=_json([_shown(message) for message in call.messages]),
        output=_json(_output(flight)) if flight.answer else "",
        session_id=call.attribution.session,
        user_id=call.attribution.user,
        feature=call.attribution.feature,
        endpoint=call.attribution.endpoint,
        key_id=flight.ctx.principal.id if flight.ctx.principal.kind == "key" else "",
        tags=list(call.attribution.tags),
        refs=[str(ref) for ref in flight.refs],
        attributes=_attributes(flight),
        dialect=_DIALECT,
    )


def _message(flight: Flight) -> str:
    if flight.error is not None:
        return str(flight.error)
    return "The caller went away before the end." if flight.cancelled else ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _shown(message: Message) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.text if message.only_text else list(message.parts)}
    if message.tool_calls:
        row["tool_calls"] = [_tool(tool.id, tool.name, tool.arguments) for tool in message.tool_calls]
    if message.tool_call_id:
        row["tool_call_id"] = message.tool_call_id
    return row


def _tool(identity: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _output(flight: Flight) -> dict[str, Any]:
    row: dict[str, Any] = {"role": "assistant", "content": "".join(flight.text)}
    if flight.reasoning:
        row["reasoning"] = "".join(flight.reasoning)
    if flight.refusal:
        row["refusal"] = flight.refusal
    if flight.tools:
        row["tool_calls"] = [_tool(t.id, t.name, t.arguments) for _, t in sorted(flight.tools.items())]
    return row


def _attributes(flight: Flight) -> dict[str, Any]:
    """Return what else is known, under the names of the OpenTelemetry conventions where they have one."""
    call, settings = flight.call, flight.call.settings
    found: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": call.model,
        "gen_ai.response.model": flight.answered_by or None,
        "gen_ai.response.finish_reasons": [flight.finish] if flight.finish else None,
        "gen_ai.request.max_tokens": settings.max_tokens,
        "gen_ai.request.temperature": settings.temperature,
        "gen_ai.request.top_p": settings.top_p,
        "gen_ai.request.stream": call.stream,
        "error.type": flight.error.code if flight.error else None,
        "gimbal.answer.complete": flight.complete if flight.answer else None,
    }
    found |= flight.answer.note if flight.answer else {}
    found |= {f"gimbal.stage.{name}_us": spent for name, spent in flight.timings_us.items()}
    return {name: value for name, value in found.items() if value is not None}
