"""Azure OpenAI: the key in a header of its own or a token of Entra, and either deployments in the path with a version, or the newer v1.

With `api_version` requests go to `/openai/deployments/{deployment}/chat/completions?api-version=…`; without, to
`/openai/v1/chat/completions`, where the deployment is the model's name.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from gimbal.engines.http.model import Client, HeaderList
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider, Road
from gimbal.generative.gateway.providers.upstreams.entra import entra
from gimbal.generative.gateway.providers.upstreams.identities import identity_of, keyed, needed
from gimbal.generative.gateway.providers.upstreams.sending import Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import ConfigurationError

_VERSION = re.compile(r"[A-Za-z0-9.-]{0,40}", re.ASCII)


class AzureProvider(HttpProvider):
    """One resource of Azure OpenAI."""

    def __init__(self, setup: Setup, client: Client, *, wires: Wires = wire_named) -> None:
        self._version = setup.settings.api_version
        self._deployments = setup.settings.deployments
        found = identity_of(setup.settings, "azure")
        if found:
            needed(setup.settings, found)
            keyed(setup.settings, found, setup.key)
        self._tokens = entra(setup.settings, setup.key, client) if found else None
        self.signs = self._tokens is not None
        super().__init__(setup, client, wires=wires)

    def url(self, setup: Setup) -> str:
        """Return the address of the resource, whichever part of it was given."""
        found = super().url(setup).removesuffix("/v1").removesuffix("/openai")
        if not _VERSION.fullmatch(self._version):
            raise ConfigurationError(
                f"{self._version!r:.40} is no version of Azure's API.",
                where="api_version",
                todo="Write it like 2024-10-21 or 2025-04-01-preview.",
            )
        return f"{found}/openai" if self._version else f"{found}/openai/v1"

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the key."""
        return [(b"api-key", key.encode())] if key and self._tokens is None else []

    async def authorized(self, path: bytes, headers: HeaderList, body: bytes) -> HeaderList:
        """Return the headers with a token of Entra, where no key proves who asks."""
        if self._tokens is None:
            return headers
        return [*headers, (b"authorization", b"Bearer " + (await self._tokens.current()).encode())]

    def stale(self, sent: HeaderList) -> bool:
        """Have the next request fetch another token than the one that was sent."""
        if self._tokens is None:
            return False
        self._tokens.forget(dict(sent)[b"authorization"].decode().removeprefix("Bearer "))
        return True

    def secrets(self) -> Sequence[bytes]:
        """Return the key, or the secret and the token."""
        held = self._tokens.held if self._tokens else None
        return [*super().secrets(), held.encode()] if held else super().secrets()

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return where a model's deployment answers."""
        path = "/" + self.kind.wires[wire]
        if not self._version:
            return path, path
        if wire != "openai.responses":  # which has no deployment in its path in any version
            path = f"/deployments/{quote(self._deployment(model), safe='')}{path}"
        path = f"{path}?api-version={self._version}"
        return path, path

    def _body(self, call: Call, road: Road, model: str) -> bytes:
        # Both forms read the model's name as the deployment's, where they read it.
        return super()._body(call, road, self._deployment(model))

    def _deployment(self, model: str) -> str:
        return self._deployments.get(model, model)

    def _target(self, path: str) -> bytes:
        if not self._version or "api-version=" in path:
            return super()._target(path)
        return super()._target(f"{path}{'&' if '?' in path else '?'}api-version={self._version}")

    async def models(self) -> list[str]:
        """Return the configured models or deployments; Azure lists those that could be deployed, not those that are."""
        return list(self._setup.settings.models) or list(self._deployments)


PROVIDER = AzureProvider
