"""Google's Gemini API: the model stands in the path, the key in a header of its own, and streams are asked for as events."""

from collections.abc import Sequence
from urllib.parse import quote

from gimbal.generative.gateway.providers.upstreams.addressing import ids
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider

_PREFIX = "models/"


class GeminiProvider(HttpProvider):
    """Google's Gemini API."""

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the key."""
        return [(b"x-goog-api-key", key.encode())] if key else []

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return what is asked of a model."""
        folder, slash, name = model.partition("/")
        if not slash or folder not in {"models", "tunedModels"}:
            folder, name = "models", model
        path = f"/{folder}/{quote(name, safe='@:')}"
        if wire == "gemini.embed":
            return f"{path}:batchEmbedContents", ""
        return methods(path)

    async def ask_models(self) -> list[str]:
        """Ask for the models, which are listed with `models/` before their names."""
        listed = ids(await self.get("/models?pageSize=1000"), "models", "name")
        return [name.removeprefix(_PREFIX) for name in listed]


def methods(path: str) -> tuple[str, str]:
    """Return what generates, whole and streamed."""
    return f"{path}:generateContent", f"{path}:streamGenerateContent?alt=sse"


PROVIDER = GeminiProvider
