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
from gimbal.generative.gateway.put_down import NUMBERS, CallRecord, span_of
from gimbal.generative.gateway.recording import recorded
from gimbal.generative.gateway.resilience.model import Attempt
from gimbal.generative.prompts.model import PROMPT_MESSAGES_ATTRIBUTE, VARIABLES_ATTRIBUTE
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import ConfigurationError, NotFound
from gimbal.kernel.ids import new_span_id

_OVERTAKEN = "Another attempt was faster."
_FILTERED = "A content filter stopped the answer."
_json = msgspec.json.Encoder()


async def record(flight: Flight) -> None:
    """Put the call down, or store its span; raise Busy or DiskFull when that cannot be done."""
    if flight.record is None:
        made = record_of(flight)
        if flight.parted or any(one.usage is not None for one in flight.attempts):
            flight.wasted = await _wasted(flight, span_of(made))
        flight.record = made
    await recorded(flight.ctx, flight.wasted, flight.record, at_once=flight.at_once)


def record_of(flight: Flight) -> CallRecord:
    """Return what is put down of a call that has ended."""
    call, where, answer = flight.call, flight.call.trace, flight.answer
    asked, provider = call.asked, flight.provider
    numbers = NUMBERS & asked.fields.keys()
    return CallRecord(
        where.trace_id,
        where.parent_id or "",
        where.remote,
        flight.span_id,
        flight.operation,
        flight.shown_model,
        provider.pricing if provider else "",
        flight.model,
        asked.model,
        call.wire.name,
        asked.stream,
        {name: bytes(asked.fields[name]) for name in numbers} if numbers else {},
        flight.started_us,
        flight.ended_us or flight.started_us,
        flight.status,
        _message(flight),
        flight.usage,
        flight.estimated,
        flight.cost,
        flight.unpriced,
        flight.price_book,
        flight.parts,
        flight.first_token_us,
        flight.finish,
        flight.response_id,
        flight.answered_by,
        _json.encode(_turns(call.conversation)) if call.rewritten else asked.said,
        answer is not None,
        flight.complete,
        "".join(flight.text),
        "".join(flight.reasoning),
        flight.refusal,
        [flight.tools[place] for place in sorted(flight.tools)],
        call.attribution,
        flight.ctx.principal.key_id,
        [str(ref) for ref in flight.refs],
        flight.upstream_us,
        flight.timings_us,
        _more(flight),
    )


async def _wasted(flight: Flight, whole: Span) -> list[Span]:
    """Return a span for each attempt whose answer nobody got: it was billed all the same."""
    ctx, found = flight.ctx, list[Span]()
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


def _turns(conversation: Conversation) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for turn in conversation.turns:
        plain = all(type(part).__name__ == "Text" for part in turn.parts)
        rows.append({"role": turn.role, "content": turn.text if plain else msgspec.to_builtins(turn.parts)})
    return rows


def _more(flight: Flight) -> dict[str, Any]:
    """Return the attributes that few calls have."""
    found: dict[str, Any] = {}
    if flight.prompted is not None:
        # What it takes to ask another version the same.
        found[VARIABLES_ATTRIBUTE] = _json.encode(variables(flight.call.asked)).decode()
        found[PROMPT_MESSAGES_ATTRIBUTE] = flight.prompted
    if flight.error is not None:
        found["error.type"] = flight.error.code
    if flight.answer is not None and flight.answer.note:
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
