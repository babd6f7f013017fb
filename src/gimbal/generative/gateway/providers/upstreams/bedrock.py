"""Amazon Bedrock: one form of conversation for the models of many makers, and requests that are signed.

The key is either one of Bedrock's own, which is sent as a bearer's, or one of Amazon's: then each request is signed. Those
of Amazon's stand there, or are lent for a while: to a container, a machine, a profile, a role.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from gimbal.axis.pricing.model import Usage
from gimbal.engines.http.model import Client, HeaderList, Response
from gimbal.generative.gateway.providers.upstreams.aws import aws_key, host_of, signed
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.providers.upstreams.identities import identity_of, keyed, needed
from gimbal.generative.gateway.providers.upstreams.lending import Fixed, holder
from gimbal.generative.gateway.providers.upstreams.sending import Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import ConfigurationError, GimbalError

_REGION = re.compile(r"[a-z0-9-]{3,40}", re.ASCII)
_SERVICE = "bedrock"
_ENDED = (b"ExpiredToken", b"UnrecognizedClient", b"InvalidClientTokenId", b"InvalidSignature")
"""How answers begin that refuse a key which may have ended."""
_TOKENS = b"x-amzn-bedrock-input-token-count"
_EMBEDDING = {
    "titan-embed-text": "bedrock.embed_titan",
    "titan-embed-g1-text": "bedrock.embed_titan",
    "cohere.embed-": "bedrock.embed_cohere",
}
"""The wire of models for embeddings, by a part of their names."""


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
        settings, found = setup.settings, identity_of(setup.settings, "bedrock")
        if found:
            needed(settings, found)
            keyed(settings, found, setup.key)
        fixed = aws_key(key, settings.name) if key.lstrip().startswith("{") and not found else None
        self._aws = holder(settings, setup.key, fixed, client)
        self.signs = self._aws is not None
        super().__init__(setup, client, wires=wires)

    def url(self, setup: Setup) -> str:
        """Return the address of the region."""
        return setup.url or f"https://bedrock-runtime.{self._region}.amazonaws.com"

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the key where it is one of Bedrock's own."""
        return [] if self._aws else super().headers(key, wire)

    def speaks(self, model: str) -> Sequence[str]:
        """Return the wire of a model; those for embeddings go by their maker's."""
        return [next((wire for maker, wire in _EMBEDDING.items() if maker in model), "bedrock.converse")]

    def counted(self, headers: HeaderList) -> Usage | None:
        """Return the usage that stands in the answer's head, for makers who tell none."""
        told = next((value for name, value in headers if name == _TOKENS), b"")
        return Usage(input=int(told)) if told.isdigit() else None

    def paths(self, wire: str, model: str) -> tuple[str, str]:
        """Return where a model, a profile of inference or the like answers; its name may be an ARN with slashes."""
        path = f"/model/{quote(model, safe='')}"
        if wire != "bedrock.converse":
            return f"{path}/invoke", ""
        return f"{path}/converse", f"{path}/converse-stream"

    async def authorized(self, path: bytes, headers: HeaderList, body: bytes) -> HeaderList:
        """Return the headers with a signature."""
        if self._aws is None:
            return headers
        return signed(
            await self._aws.current(),
            method="POST",
            host=host_of(self._origin),
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
        held = self._aws.held
        found = [held.session_token.encode()] if held and held.session_token else []
        return [*super().secrets(), *found]

    def unproven(self, response: Response) -> bool:
        """Tell whether the key had ended, which they answer with another status than others."""
        return response.status in {401, 403} and response.header(b"x-amzn-errortype").startswith(_ENDED)

    def stale(self, sent: HeaderList) -> bool:
        """Have the next request signed by another key than the one that signed this, where there is another."""
        held = self._aws.held if self._aws else None
        if self._aws is None or held is None or isinstance(self._aws, Fixed):
            return False
        if dict(sent).get(b"x-amz-security-token", b"") == held.session_token.encode():
            self._aws.forget(held)
        return True

    async def models(self) -> list[str]:
        """Return the configured models: those that may be called are listed at another address."""
        return list(self._setup.settings.models)

    async def ask_models(self) -> list[str]:
        """Return the configured models; raise what goes wrong where the key is lent and none is given."""
        if self._aws is not None:
            try:
                await self._aws.current()
            except GimbalError as problem:
                raise self._of_mine(problem) from None
        return await self.models()


PROVIDER = BedrockProvider
