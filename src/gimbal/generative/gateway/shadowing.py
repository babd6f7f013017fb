"""A second model beside the one that answers, for the record alone: the caller neither waits for it nor hears of it."""

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.model import only
from gimbal.generative.gateway.resilience.shadow import Shadows
from gimbal.generative.gateway.routes.service import Routes
from gimbal.generative.gateway.stages.guard import guard_output, twin
from gimbal.generative.gateway.stages.provide import pieces, provide
from gimbal.generative.gateway.stages.record import record
from gimbal.generative.gateway.stages.settle import settle
from gimbal.kernel.errors import GimbalError


def shadow(flight: Flight, choice: Choice) -> None:
    """Start the same call to another model; left out when too many run beside calls already."""
    flight.ctx.get(Shadows).start(lambda: _run(flight, choice))


async def _run(flight: Flight, choice: Choice) -> None:
    # Beside the call in its trace, not beneath it: what is beneath a call is what it wraps.
    other = Flight(flight.ctx, flight.call, operation=flight.operation)
    other.shadow_of = flight.span_id
    other.plan = only(choice, flight.ctx.get(Routes).resilience)
    twin(flight, other)
    try:
        await provide(other)
        await guard_output(other)
        async for _ in pieces(other):
            pass
    except GimbalError as problem:
        other.error = problem
    finally:
        other.land()
        if other.answer is not None:
            await other.answer.aclose()
        await settle(other)
        await record(other)
