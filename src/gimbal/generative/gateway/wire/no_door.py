"""The half that wires lack by which nobody calls us: what they share is that they have none."""

from collections.abc import Mapping

from gimbal.generative.gateway.conversation import Conversation
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.hints import asks_nothing
from gimbal.generative.gateway.wire.protocol import Asked, Writer, inexpressible
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply


class _NoDoor:
    """What neither kind of wire has without a door."""

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Not a door."""
        raise NotImplementedError

    def same(self, asked: Asked, model: str) -> bytes:
        """Not a door."""
        raise NotImplementedError

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Not a door."""
        raise NotImplementedError


class NoDoor(_NoDoor):
    """A wire without a door."""

    def conversation(self, asked: Asked) -> Conversation:
        """Not a door."""
        raise NotImplementedError

    def writer(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> Writer:
        """Not a door."""
        raise NotImplementedError


class NoEmbeddingDoor(_NoDoor):
    """A wire for embeddings without a door."""

    def embeddings(self, asked: Asked) -> Embeddings:
        """Not a door."""
        raise NotImplementedError

    def write(self, asked: Asked, vectors: Vectors, *, model: str) -> bytes:
        """Not a door."""
        raise NotImplementedError


def texts_of(embeddings: Embeddings, whose: str) -> list[str]:
    """Return what is to be embedded as texts; raise BadInput for anything that only the caller's wire knows."""
    for where, value in embeddings.extras.items():
        if not asks_nothing(where, value):
            raise inexpressible(where, where, whose)
    texts = [said for said in embeddings.inputs if isinstance(said, str)]
    if len(texts) != len(embeddings.inputs):
        raise inexpressible("Tokens instead of texts", "input", whose)
    return texts
