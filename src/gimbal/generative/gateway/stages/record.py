"""Record: every call is one span of kind `llm`, with what went in, what came out, tokens, times and cost.

It survives this process when this returns. A call from inside a process waits until it is in the store: a full writer is
tried again for a while. What cannot be recorded even then is logged and counted, never hidden.
"""

from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.service import PriceSource
from gimbal.axis.traces.model import Span
from gimbal.generative.gateway.conversation import Conversation
from gimbal.generative.gateway.flight import CANCELLED, Flight
from gimbal.generative.gateway.prompting import variables
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.recording import recorded
from gimbal.generative.gateway.resilience.model import Attempt
from gimbal.generative.prompts.model import PROMPT_MESSAGES_ATTRIBUTE, VARIABLES_ATTRIBUTE
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import ConfigurationError, NotFound
from gimbal.kernel.ids import new_span_id

_DIALECT = "gimbal"
_OVERTAKEN = "Another attempt was faster."
_FILTERED = "A content filter stopped the answer."
_FIELDS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
}


class _Stages(dict[str, str]):
    """Attributes with the time of a stage, by its name."""

    def __missing__(self, name: str) -> str:
        found = self[name] = f"gimbal.stage.{name}_us"
        return found


_STAGES = _Stages()
_json = msgspec.json.Encoder()
_number = msgspec.json.Decoder(float | int | None)


async def record(flight: Flight) -> None:
    """Put the call's span down, or store it; raise Busy or DiskFull when that cannot be done."""
    if not flight.spans:
        wasted = flight.parted or [one for one in flight.attempts if one.usage is not None]
        flight.spans = [to_span(flight), *(await _wasted(flight.ctx, flight) if wasted else ())]
    await recorded(flight.ctx, flight.spans, at_once=flight.at_once)


def to_span(flight: Flight) -> Span:
    """Return the span of a call that has ended."""
    call, where = flight.call, flight.call.trace
    attribution = call.attribution
    return Span(
        trace_id=where.trace_id,
        span_id=flight.span_id,
        parent_id=where.parent_id or "",
        remote_parent=where.remote,
        name=f"{flight.operation} {flight.shown_model}".rstrip(),
        kind="embedding" if flight.operation == "embeddings" else "llm",
        start_us=flight.started_us,
        end_us=flight.ended_us or flight.started_us,
        status=flight.status,
        status_message=_message(flight),
        provider=flight.provider.pricing if flight.provider else "",
        model=flight.model or call.asked.model,
        usage=flight.usage,
        estimated=flight.estimated,
        cost=flight.cost,
        unpriced=flight.unpriced or ("" if flight.usage else "not_answered"),
        price_book=flight.price_book,
        parts=flight.parts,
        first_token_us=flight.first_token_us,
        finish=flight.finish,
        response_id=flight.response_id,
        input=_said(flight),
        output=_json.encode(_output(flight)).decode() if flight.answer else "",
        session_id=attribution.session,
        user_id=attribution.user,
        feature=attribution.feature,
        endpoint=attribution.endpoint,
        key_id=flight.ctx.principal.key_id,
        tags=list(attribution.tags),
        refs=[str(ref) for ref in flight.refs],
        attributes=_attributes(flight),
        dialect=_DIALECT,
    )


async def _wasted(ctx: Context, flight: Flight) -> list[Span]:
    """Return a span for each attempt whose answer nobody got: it was billed all the same."""
    whole = to_span(flight)
    found: list[Span] = []
    for one in flight.attempts:
        if one.usage is None:
            continue
        begun = flight.started_us + int(one.started_ms * 1000)
        span = await _billed(ctx, whole, one.choice, one.usage, begun, begun + int(one.ms * 1000))
        message = _OVERTAKEN if one.outcome == "wasted" else _FILTERED
        found.append(msgspec.structs.replace(span, status_message=message, attributes={"gimbal.attempt": one.kind}))
    for part in flight.parted or ():
        if not part.parts:
            continue
        span = await _billed(ctx, whole, part.choice, part.usage, part.started_us, part.ended_us or whole.end_us)
        message = f"{part.parts} of its requests had been answered; nobody got their vectors."
        noted = {"gimbal.attempt": "parts", "gimbal.parts_answered": part.parts}
        found.append(msgspec.structs.replace(span, status_message=message, attributes=noted, estimated=part.estimated))
    return found


async def _billed(ctx: Context, whole: Span, choice: Choice, usage: Usage, begun: int, ended: int) -> Span:
    """Return the span of what one attempt has used, at the price of its own provider."""
    project = ctx.project or "default"
    prices = await ctx.get(PriceSource).of(project)
    try:
        pricing = (await ctx.get(Providers).get(project, choice.provider)).pricing
    except (NotFound, ConfigurationError):  # it was deleted, or lost its key, while it answered
        pricing = choice.provider
    cost = prices.price(pricing, choice.model, from_us(begun), usage)
    return msgspec.structs.replace(
        whole,
        span_id=new_span_id(),
        name=f"{whole.name.partition(' ')[0]} {choice.provider}/{choice.model}",
        start_us=begun,
        end_us=ended,
        status=CANCELLED,
        provider=pricing,
        model=choice.model,
        usage=usage,
        cost=cost.amount,
        parts=cost.parts,
        unpriced=cost.unpriced_reason,
        price_book=cost.book_version,
        output="",
        response_id="",
    )


def _message(flight: Flight) -> str:
    if flight.error is not None:
        return str(flight.error)
    return "The caller went away before the end." if flight.cancelled else ""


def _said(flight: Flight) -> str:
    """Return what went in: as the caller sent it, or as it was rewritten."""
    call = flight.call
    if not call.rewritten:
        return call.asked.said.decode("utf-8", "replace")
    return _json.encode(_turns(call.conversation)).decode()


def _turns(conversation: Conversation) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for turn in conversation.turns:
        plain = all(type(part).__name__ == "Text" for part in turn.parts)
        rows.append({"role": turn.role, "content": turn.text if plain else msgspec.to_builtins(turn.parts)})
    return rows


def _output(flight: Flight) -> dict[str, Any]:
    row: dict[str, Any] = {"role": "assistant", "content": "".join(flight.text)}
    if flight.reasoning:
        row["reasoning"] = "".join(flight.reasoning)
    if flight.refusal:
        row["refusal"] = flight.refusal
    if flight.tools:
        row["tool_calls"] = [
            {"id": t.id, "type": "function", "function": {"name": t.name, "arguments": t.arguments}}
            for _, t in sorted(flight.tools.items())
        ]
    return row


def _attributes(flight: Flight) -> dict[str, Any]:
    """Return what else is known, under the names of the OpenTelemetry conventions where they have one."""
    asked = flight.call.asked
    found: dict[str, Any] = {
        "gen_ai.operation.name": flight.operation,
        "gen_ai.request.model": asked.model,
        "gen_ai.request.stream": asked.stream,
        "gimbal.wire": flight.call.wire.name,
    }
    for field, name in _FIELDS.items():
        raw = asked.fields.get(field)
        if raw is not None:
            try:
                value = _number.decode(raw)
            except msgspec.DecodeError:
                continue
            if value is not None:
                found[name] = value
    if flight.prompted is not None:
        # What it takes to ask another version the same.
        found[VARIABLES_ATTRIBUTE] = _json.encode(variables(asked)).decode()
        found[PROMPT_MESSAGES_ATTRIBUTE] = flight.prompted
    if flight.answered_by:
        found["gen_ai.response.model"] = flight.answered_by
    if flight.finish:
        found["gen_ai.response.finish_reasons"] = [flight.finish]
    if flight.error is not None:
        found["error.type"] = flight.error.code
    if flight.answer is not None:
        found["gimbal.answer.complete"] = flight.complete
        found |= flight.answer.note
    if flight.plan is not None and flight.plan.route:
        found["gimbal.route"] = flight.plan.route
        found["gimbal.route.reasons"] = list(flight.plan.reasons)
    if flight.shadow_of:
        found["gimbal.shadow_of"] = flight.shadow_of
    attempts = flight.attempts
    if len(attempts) > 1 or (attempts and attempts[0].outcome != "ok"):
        found["gimbal.attempts"] = [_attempt(one) for one in attempts]
    if flight.guards:
        found["gimbal.guards"] = flight.guards
    found["gimbal.upstream_us"] = flight.upstream_us
    for name, spent in flight.timings_us.items():
        found[_STAGES[name]] = spent
    return found


def _attempt(one: Attempt) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": f"{one.choice.provider}/{one.choice.model}",
        "kind": one.kind,
        "why": one.choice.why,
        "started_ms": round(one.started_ms, 1),
        "ms": round(one.ms, 1),
        "outcome": one.outcome,
        "status": one.status,
        "message": one.message,
    }
    return {name: value for name, value in row.items() if value not in (None, "")}
