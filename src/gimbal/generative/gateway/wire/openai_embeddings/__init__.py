"""OpenAI's embeddings, which most servers of open models speak too."""

from collections.abc import Mapping

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.embedding import Embeddings, EmbeddingWire, Vectors
from gimbal.generative.gateway.wire.openai_chat import errors
from gimbal.generative.gateway.wire.openai_embeddings import asked as asking
from gimbal.generative.gateway.wire.openai_embeddings import codec
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply

_MOST = 2048


class OpenAIEmbeddings:
    """OpenAI's embeddings."""

    name = "openai.embeddings"

    def most(self, model: str) -> int:
        """Return how many inputs one request may have."""
        return _MOST

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; raise BadInput naming the field that does not fit."""
        return asking.asked(body)

    def embeddings(self, asked: Asked) -> Embeddings:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        return codec.embeddings(asked)

    def same(self, asked: Asked, model: str) -> bytes:
        """Return a request as it goes on, with the model's name."""
        return asking.same(asked, model)

    def write(self, asked: Asked, vectors: Vectors, *, model: str) -> bytes:
        """Return the body of an answer, with the vectors as the caller wants them."""
        return codec.write(asked, vectors, model=model)

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that OpenAI's clients understand as this error."""
        return errors.reply(problem, self.name)

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request that came by another wire; raise BadInput naming what cannot be expressed."""
        return codec.request(embeddings, model)

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to `count` inputs; raise Upstream for what is none."""
        return codec.read(body, provider=provider, count=count, same=same)


WIRE: EmbeddingWire = OpenAIEmbeddings()
