"""Bedrock's Converse and ConverseStream: provider alone."""

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.bedrock import encode
from gimbal.generative.gateway.wire.bedrock.reader import Reader
from gimbal.generative.gateway.wire.no_door import NoDoor


class BedrockConverse(NoDoor):
    """The wire; see `protocol.Wire`. Nobody calls us by it."""

    name = "bedrock.converse"

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request; model and stream go into the address: `model/{model}/converse` or `converse-stream`."""
        return encode.request(conversation, model)

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return Reader(provider)


WIRE = BedrockConverse()
