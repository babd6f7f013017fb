"""Cohere, by the second version of its own wires."""

from gimbal.generative.gateway.providers.upstreams.addressing import ids
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider


class CohereProvider(HttpProvider):
    """Cohere's API."""

    async def ask_models(self) -> list[str]:
        """Ask for the models that chat or embed."""
        return ids(await self.get("/v1/models?page_size=1000"), "models", "name")


PROVIDER = CohereProvider
