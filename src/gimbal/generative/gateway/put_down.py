"""What is put down of a call when it ends, and the span that is made of it later, away from the path.

`stages/record` fills a `CallRecord` in, `recording` writes it into the journal, and whoever carries the journal to the traces makes the
span: a caller waits for none of that work.
"""

from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.generative.gateway.call import Attribution
from gimbal.generative.gateway.conversation import ToolCall

_DIALECT = "gimbal"
_EMBEDDINGS = "embeddings"
_FIELDS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
}
NUMBERS = frozenset(_FIELDS)
"""Fields of a request that are kept as attributes where they are numbers."""
_json = msgspec.json.Encoder()
_number = msgspec.json.Decoder(float | int | None)


class CallRecord(msgspec.Struct, frozen=True, array_like=True):
    """A call that has ended, as its parts were found; in this order in journals, which outlive a process: add at the end only."""

    trace_id: str
    parent_id: str
    remote: bool
    """Whether the parent belongs to the caller's process."""
    span_id: str
    operation: str
    """By the OpenTelemetry conventions: chat, embeddings …"""
    shown_model: str
    """As `provider/model`, or as the caller named it."""
    pricing: str
    """The provider's name in the price book."""
    model: str
    asked: str
    """The model as the caller named it."""
    wire: str
    stream: bool
    numbers: dict[str, bytes]
    """Of `NUMBERS`, what the caller sent, as JSON."""
    started_us: int
    ended_us: int
    status: str
    message: str
    usage: Usage | None
    estimated: bool
    cost: Decimal | None
    unpriced: str
    price_book: str
    parts: dict[str, Decimal]
    first_token_us: int | None
    finish: str
    response_id: str
    answered_by: str
    said: bytes
    """JSON of what went in."""
    answered: bool
    """Whether a provider accepted it."""
    complete: bool
    text: str
    reasoning: str
    refusal: str
    tools: list[ToolCall]
    attribution: Attribution
    key_id: str
    refs: list[str]
    upstream_us: int
    timings_us: dict[str, int]
    more: dict[str, Any]
    """Attributes that few calls have."""


def span_of(call: CallRecord) -> Span:
    """Return the span of a call that has ended."""
    attribution = call.attribution
    return Span(
        trace_id=call.trace_id,
        span_id=call.span_id,
        parent_id=call.parent_id,
        remote_parent=call.remote,
        name=f"{call.operation} {call.shown_model}".rstrip(),
        kind="embedding" if call.operation == _EMBEDDINGS else "llm",
        start_us=call.started_us,
        end_us=call.ended_us,
        status=call.status,
        status_message=call.message,
        provider=call.pricing,
        model=call.model or call.asked,
        usage=call.usage,
        estimated=call.estimated,
        cost=call.cost,
        unpriced=call.unpriced or ("" if call.usage else "not_answered"),
        price_book=call.price_book,
        parts=call.parts,
        first_token_us=call.first_token_us,
        finish=call.finish,
        response_id=call.response_id,
        input=call.said.decode("utf-8", "replace"),
        output=_json.encode(_output(call)).decode() if call.answered else "",
        session_id=attribution.session,
        user_id=attribution.user,
        feature=attribution.feature,
        endpoint=attribution.endpoint,
        key_id=call.key_id,
        tags=list(attribution.tags),
        refs=call.refs,
        attributes=_attributes(call),
        dialect=_DIALECT,
    )


def _output(call: CallRecord) -> dict[str, Any]:
    row: dict[str, Any] = {"role": "assistant", "content": call.text}
    if call.reasoning:
        row["reasoning"] = call.reasoning
    if call.refusal:
        row["refusal"] = call.refusal
    if call.tools:
        row["tool_calls"] = [
            {"id": t.id, "type": "function", "function": {"name": t.name, "arguments": t.arguments}} for t in call.tools
        ]
    return row


def _attributes(call: CallRecord) -> dict[str, Any]:
    """Return what else is known, under the names of the OpenTelemetry conventions where they have one."""
    found: dict[str, Any] = {
        "gen_ai.operation.name": call.operation,
        "gen_ai.request.model": call.asked,
        "gen_ai.request.stream": call.stream,
        "gimbal.wire": call.wire,
    }
    for field, name in _FIELDS.items():
        if (value := _number_in(call.numbers.get(field))) is not None:
            found[name] = value
    if call.answered_by:
        found["gen_ai.response.model"] = call.answered_by
    if call.finish:
        found["gen_ai.response.finish_reasons"] = [call.finish]
    if call.answered:
        found["gimbal.answer.complete"] = call.complete
    found |= call.more
    found["gimbal.upstream_us"] = call.upstream_us
    for name, spent in call.timings_us.items():
        found[f"gimbal.stage.{name}_us"] = spent
    return found


def _number_in(raw: bytes | None) -> float | None:
    try:
        return None if raw is None else _number.decode(raw)
    except msgspec.DecodeError:
        return None
