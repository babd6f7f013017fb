"""Anthropic's messages: the key and the version of the wire have headers of their own."""

from collections.abc import Sequence

from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.providers.upstreams.sending import Setup

VERSION = b"2023-06-01"


class AnthropicProvider(HttpProvider):
    """Anthropic's API; counting of tokens and batches are passed through."""

    def url(self, setup: Setup) -> str:
        """Return its address, with the version part that Anthropic's own clients leave out."""
        found = super().url(setup)
        return found if found.endswith("/v1") else f"{found}/v1"

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the version of the wire, and the key."""
        return [(b"anthropic-version", VERSION), *([(b"x-api-key", key.encode())] if key else [])]


PROVIDER = AnthropicProvider
