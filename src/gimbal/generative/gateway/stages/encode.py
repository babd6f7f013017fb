"""Encode: the answer in the form of the caller's wire, whole or as a stream of events.

A stream ends (`[DONE]`) only when its record is durable; a stream that breaks ends with an error event instead, and
never with `[DONE]`, so that a caller can tell.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.sse import DONE, line
from gimbal.generative.gateway.stages.provide import pieces
from gimbal.generative.gateway.wire import openai
from gimbal.kernel.errors import GimbalError

Finish = Callable[[Flight], Awaitable[None]]


async def drain(flight: Flight) -> None:
    """Take the whole answer, for a caller who wants it in one."""
    async for _ in pieces(flight):
        pass


async def encode(flight: Flight) -> None:
    """Take the whole answer and write its body; streams are written by `chunks` as they come."""
    call = flight.call
    if call.stream:
        return
    await drain(flight)
    if not call.wire:
        return
    if flight.last_raw is not None and call.wire == openai.WIRE:
        flight.body = msgspec.json.encode(flight.last_raw)


def whole(flight: Flight) -> bytes:
    """Return the body of an answer that was not streamed; the call is settled, so usage is known."""
    if flight.body:
        return flight.body
    assert flight.usage is not None, "settle runs before"
    message = openai.encode_message("".join(flight.text), list(flight.tools.values()), flight.refusal)
    if flight.reasoning:
        message["reasoning_content"] = "".join(flight.reasoning)
    return msgspec.json.encode(
        openai.encode_whole(
            flight.call,
            model=flight.answered_by or flight.shown_model,
            created=flight.started_us // 1_000_000,
            message=message,
            finish=flight.finish,
            usage=flight.usage,
            fingerprint=flight.answer.fingerprint if flight.answer else "",
        )
    )


async def chunks(flight: Flight, finish: Finish) -> AsyncIterator[bytes]:
    """Yield the events of a streamed answer; `finish` settles and records, before the stream says that it is done."""
    assert flight.answer is not None, "provide runs before"
    encoder = openai.ChunkEncoder(
        flight.call,
        model=flight.answer.model or flight.shown_model,
        created=flight.started_us // 1_000_000,
        fingerprint=flight.answer.fingerprint,
    )
    try:
        async for piece in pieces(flight):
            chunk = encoder.piece(piece)
            if chunk is not None:
                yield line(chunk)
    except GimbalError as problem:
        flight.error = problem
        await finish(flight)
        yield line({"error": openai.error_body(problem)})
        return
    await finish(flight)
    if flight.usage is not None:
        last = encoder.usage(flight.usage, estimated=flight.estimated)
        if last is not None:
            yield line(last)
    yield DONE
