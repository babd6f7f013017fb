"""Amazon Bedrock: one form of conversation for the models of many makers, and requests that are signed.

The key is either one of Bedrock's own, which is sent as a bearer's, or one of Amazon's: then each request is signed.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from gimbal.engines.http.model import Client, HeaderList
from gimbal.generative.gateway.providers.upstreams.aws import AwsKey, aws_key, signed
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.providers.upstreams.sending import Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import ConfigurationError

_REGION = re.compile(r"[a-z0-9-]{3,40}", re.ASCII)
_SERVICE = "bedrock"


class BedrockProvider(HttpProvider):
    """Bedrock in one region."""

    def __init__(self, setup: Setup, client: Client, *, wires: Wires = wire_named) -> None:
        key = setup.key.reveal()
        self._region = setup.settings.region
        if not _REGION.fullmatch(self._region):
            raise ConfigurationError(
                f"The provider {setup.settings.name!r} has no region.",
                where="region",
                todo="Give the region of Bedrock, such as us-east-1.",
            )
        self._aws: AwsKey | None = aws_key(key, setup.settings.name) if key.lstrip().startswith("{") else None
        self.signs = self._aws is not None
        super().__init__(setup, client, wires=wires)

    def url(self, setup: Setup) -> str:
        """Return the address of the region."""
        return setup.url or f"https://bedrock-runtime.{self._region}.amazonaws.com"

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the key where it is one of Bedrock's own."""
        return [] if self._aws else super().headers(key, wire)

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return where a model, a profile of inference or the like answers; its name may be an ARN with slashes."""
        path = f"/model/{quote(model, safe='')}"
        return f"{path}/converse", f"{path}/converse-stream"

    async def authorized(self, path: bytes, headers: HeaderList, body: bytes) -> HeaderList:
        """Return the headers with a signature."""
        if self._aws is None:
            return headers
        origin = self._origin
        usual = {"https": 443, "http": 80}[origin.scheme] == origin.port
        return signed(
            self._aws,
            method="POST",
            host=origin.host if usual else f"{origin.host}:{origin.port}",
            target=path,
            headers=headers,
            body=body,
            region=self._region,
            service=_SERVICE,
            at=datetime.now(UTC),
        )

    def secrets(self) -> Sequence[bytes]:
        """Return the key, or the part of it that is sent; what signs is sent to nobody."""
        if self._aws is None:
            return super().secrets()
        return [self._aws.session_token.encode()] if self._aws.session_token else []

    async def models(self) -> list[str]:
        """Return the configured models: those that may be called are listed at another address."""
        return list(self._setup.settings.models)


PROVIDER = BedrockProvider
