"""Encode: the answer in the form of the caller's wire, whole or as a stream of events.

A stream says that it is done only when its record is put down; one that breaks ends with an error event instead, so that a
caller can tell.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.stages.provide import pieces
from gimbal.generative.gateway.wire.protocol import Writer
from gimbal.kernel.errors import GimbalError

Finish = Callable[[Flight], Awaitable[None]]


async def encode(flight: Flight) -> None:
    """Take the bytes of a whole answer that goes on as it came; what is written anew needs to be settled first."""
    answer = flight.answer
    if answer is not None and answer.same and answer.whole is not None:
        flight.body = answer.whole.raw


def whole(flight: Flight) -> bytes:
    """Return the body of an answer that was not streamed; the call is settled, so usage is known."""
    return flight.body or writer_of(flight).whole(flight.done())


def writer_of(flight: Flight) -> Writer:
    """Return the writer of the caller's wire."""
    call = flight.call
    return call.wire.writer(
        call.asked,
        answer_id=call.id,
        model=(flight.answer.model if flight.answer else "") or flight.shown_model,
        created=flight.started_us // 1_000_000,
        fingerprint=flight.answer.fingerprint if flight.answer else "",
    )


async def chunks(flight: Flight, finish: Finish) -> AsyncIterator[bytes]:
    """Yield the events of a streamed answer; `finish` settles and records, before the stream says that it is done."""
    assert flight.answer is not None, "provide runs before"
    writer, same = writer_of(flight), flight.answer.same
    try:
        async for piece in pieces(flight):
            chunk = writer.piece(piece, same=same)
            if chunk:
                yield chunk
    except GimbalError as problem:
        flight.error = problem
        await finish(flight)
        yield writer.error(problem)
        return
    await finish(flight)
    yield writer.end(flight.done(), same=same)
