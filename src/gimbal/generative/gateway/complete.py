"""One model call from inside a process (a worker, a target, a judge): the same path and record as over HTTP."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Attribution, Call, TraceContext
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.pipeline import run
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.kernel.context import Context
from gimbal.kernel.refs import ResolvedRef


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer and what it took."""

    text: str
    model: str
    """As `provider/model`."""
    finish: str
    refusal: str
    """What the model said in place of an answer that it would not give; empty where it did not say so."""
    tool_calls: list[dict[str, Any]]
    """Tools that the model wants called, in order, as `{"name": …, "arguments": …}`."""
    usage: Usage
    estimated: bool
    """Whether the usage is an estimate."""
    cost: Decimal | None
    """US dollars; None when unknown."""
    latency_ms: float
    trace_id: str
    span_id: str


async def complete(
    ctx: Context,
    *,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any] | None = None,
    attribution: Attribution | None = None,
    refs: Sequence[ResolvedRef] = (),
    trace: TraceContext | None = None,
) -> Completion:
    """Call a model and return its whole answer, recorded as a span; raise the GimbalError of a call that failed.

    `messages` and `params` are as in a chat completion. `refs` are the versions that went into the call.
    """
    body: Json = {
        **(params or {}),
        "model": model,
        "messages": [dict(message) for message in messages],
        "stream": False,
    }
    call = Call(WIRE, WIRE.asked(msgspec.json.encode(body), {}), attribution=attribution, trace=trace)
    flight = Flight(ctx, call, at_once=True)
    flight.refs.extend(refs)
    await run(flight)
    return Completion(
        text="".join(flight.text),
        model=flight.shown_model,
        finish=flight.finish,
        refusal=flight.refusal,
        tool_calls=called(flight),
        usage=flight.usage or Usage(),
        estimated=flight.estimated,
        cost=flight.cost,
        latency_ms=((flight.ended_us or flight.started_us) - flight.started_us) / 1000,
        trace_id=call.trace.trace_id,
        span_id=flight.span_id,
    )


def called(flight: Flight) -> list[dict[str, Any]]:
    """Return the tools that an answer calls; arguments that are no JSON stay the text that they are."""
    return [{"name": call.name, "arguments": _read(call.arguments)} for _, call in sorted(flight.tools.items())]


def _read(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return arguments
