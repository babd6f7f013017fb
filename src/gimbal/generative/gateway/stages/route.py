"""Route: which provider answers, by which of its models."""

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.providers.catalog import Providers


async def route(flight: Flight) -> None:
    """Choose the provider by the model's name; raise NotFound when none serves it."""
    flight.provider, flight.model = flight.ctx.get(Providers).route(flight.call.model)
