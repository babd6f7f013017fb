"""Cohere's chat and embeddings (v2): provider alone."""

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.cohere import encode
from gimbal.generative.gateway.wire.cohere.reader import Reader
from gimbal.generative.gateway.wire.no_door import NoDoor


class CohereChat(NoDoor):
    """The wire; see `protocol.Wire`. Nobody calls us by it."""

    name = "cohere.chat"

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        return encode.request(conversation, model, stream=stream)

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return Reader(provider)


WIRE = CohereChat()
