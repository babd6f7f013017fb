"""Provider: open the answer, and hand on its pieces while accounting for each."""

from collections.abc import AsyncIterator

from gimbal.generative.gateway.call import Piece
from gimbal.generative.gateway.flight import Flight


async def provide(flight: Flight) -> None:
    """Send the call; returns when the provider has accepted it."""
    assert flight.provider is not None, "route runs before"
    flight.answer = await flight.provider.open(flight.call, flight.model)


async def pieces(flight: Flight) -> AsyncIterator[Piece]:
    """Yield the pieces of the answer in order; `flight.complete` says afterwards whether it came to its end."""
    assert flight.answer is not None, "provide runs before"
    async for piece in flight.answer.pieces:
        flight.take(piece)
        yield piece
    flight.complete = True
