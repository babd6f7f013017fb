"""One word from a model, to see whether its provider answers: no retries, no breaker, and a record as of any call."""

import msgspec

from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Attribution, Call
from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.provider import Provider
from gimbal.generative.gateway.stages.record import record
from gimbal.generative.gateway.stages.settle import settle
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError

FEATURE = "gimbal.check"
"""For what such calls are recorded."""
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=20.0, between_s=10.0, total_s=30.0)
_QUESTION = "Say yes."
_MOST_TOKENS = 16


async def ask_one_word(ctx: Context, provider: Provider, model: str) -> None:
    """Ask a model for one word; raise what goes wrong. It is billed, so it is priced and recorded either way."""
    messages = [{"role": "user", "content": _QUESTION}]
    body = msgspec.json.encode({"model": model, "messages": messages, "max_tokens": _MOST_TOKENS})
    call = Call(WIRE, WIRE.asked(body, {}), attribution=Attribution(feature=FEATURE, endpoint="providers.check"))
    flight = Flight(ctx, call)
    flight.provider, flight.model = provider, model
    try:
        flight.answer = await provider.open(call, model, _DEADLINES)
        if flight.answer.whole is not None:
            flight.take(flight.answer.whole)
            flight.complete = True
    except GimbalError as problem:
        flight.error = problem
        raise
    finally:
        flight.cancelled = flight.error is None and flight.answer is None
        flight.land()
        if flight.answer is not None:
            await flight.answer.aclose()
        await settle(flight)
        await record(flight)
