"""Google Vertex AI: a service account's token, the location in the host, and publishers' models by the wire of each.

`claude-…` are Anthropic's and answer by its messages, names with a slash (`meta/llama-…`) by OpenAI's wire, all others by
Gemini's.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from gimbal.engines.http.model import Client, HeaderList
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.providers.upstreams.gemini import methods
from gimbal.generative.gateway.providers.upstreams.google import TOKEN_URL, Tokens, service_account
from gimbal.generative.gateway.providers.upstreams.sending import Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import ConfigurationError, GimbalError

_PLACE = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9:.-]{1,80}", re.ASCII)
_EMBEDDING = re.compile(r"(text-|text-multilingual-|gemini-)embedding-|textembedding-", re.ASCII)
_MULTI = frozenset({"us", "eu"})


class VertexProvider(HttpProvider):
    """One project of Google Cloud in one location."""

    signs = True

    def __init__(self, setup: Setup, client: Client, *, wires: Wires = wire_named) -> None:
        name, settings = setup.settings.name, setup.settings
        self._account = service_account(setup.key.reveal(), name)
        self._location = settings.region or "global"
        self._project = settings.account or self._account.project_id
        for value, known, where in (
            (self._location, _PLACE, "region"),
            (self._project, _PROJECT, "account"),
        ):
            if not known.fullmatch(value):
                raise ConfigurationError(
                    f"The provider {name!r} has no {where} that can be.",
                    where=where,
                    todo="Give a location such as europe-west4 or global, and the project of Google Cloud.",
                )
        super().__init__(setup, client, wires=wires)
        self._tokens = Tokens(self._account, client, name=name, url=settings.token_url or TOKEN_URL)

    def url(self, setup: Setup) -> str:
        """Return the address of the location in the project."""
        place = self._location
        host = f"{place}-aiplatform.googleapis.com"
        if place == "global":
            host = "aiplatform.googleapis.com"
        elif place in _MULTI:
            host = f"aiplatform.{place}.rep.googleapis.com"
        own = setup.url or f"https://{host}/v1"
        return f"{own}/projects/{self._project}/locations/{place}"

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return none: the token is added to each request."""
        return []

    def speaks(self, model: str) -> Sequence[str]:
        """Return the wire of the model's publisher."""
        if model.startswith("claude-"):
            return ["anthropic.messages"]
        if _EMBEDDING.match(model):
            return ["vertex.embed"]
        return ["openai.chat"] if "/" in model else ["gemini.generate"]

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return what is asked of a publisher's model."""
        named = quote(model, safe="@:")
        if wire == "anthropic.messages":
            path = f"/publishers/anthropic/models/{named}"
            return f"{path}:rawPredict", f"{path}:streamRawPredict"
        if wire == "gemini.generate":
            return methods(f"/publishers/google/models/{named}")
        if wire == "vertex.embed":
            return f"/publishers/google/models/{named}:predict", ""
        return super().paths(wire, model)

    async def authorized(self, path: bytes, headers: HeaderList, body: bytes) -> HeaderList:
        """Return the headers with a token."""
        token = await self._tokens.current()
        return [*headers, (b"authorization", b"Bearer " + token.encode())]

    def stale(self, sent: HeaderList) -> bool:
        """Have the next request fetch another token than the one that was sent."""
        self._tokens.forget(dict(sent)[b"authorization"].decode().removeprefix("Bearer "))
        return True

    def secrets(self) -> Sequence[bytes]:
        """Return the token; the private key is sent to nobody."""
        return [self._tokens.held.encode()] if self._tokens.held else []

    async def models(self) -> list[str]:
        """Return the configured models: there is no list of those that a project may call."""
        return list(self._setup.settings.models)

    async def ask_models(self) -> list[str]:
        """Return the configured models; raise what goes wrong where no token is given."""
        try:
            await self._tokens.current()
        except GimbalError as problem:
            raise self._of_mine(problem) from None
        return await self.models()


PROVIDER = VertexProvider
