"""Titan's text embeddings on Bedrock, by InvokeModel: provider alone; one text a request."""

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import count as tokens_of
from gimbal.generative.gateway.wire.answers import decode_table, failed, vectors_of
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.no_door import NoEmbeddingDoor, texts_of
from gimbal.generative.gateway.wire.protocol import inexpressible

WHOSE = "Titan's embeddings"
_SIZED = "titan-embed-text-v2"
"""In the names of those whose vectors may have another length."""


class TitanEmbed(NoEmbeddingDoor):
    """The wire; see `embedding.EmbeddingWire`. Nobody calls us by it."""

    name = "bedrock.embed_titan"

    def most(self, model: str) -> int:
        """Return how many inputs one request may have."""
        return 1

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        [said] = texts_of(embeddings, WHOSE)
        if embeddings.purpose:
            raise inexpressible(f"The purpose {embeddings.purpose!r:.60}", "input_type", WHOSE)
        if embeddings.dimensions is None:
            return {"inputText": said}
        if _SIZED not in model:
            raise inexpressible(f"Another length of the vectors of {model[:80]}", "dimensions", WHOSE)
        return {"inputText": said, "dimensions": embeddings.dimensions}

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to one input; raise Upstream for what is none."""
        raw = decode_table(provider, body)
        if "embedding" not in raw and raw.get("message"):
            raise failed(provider, raw["message"], streamed=False)
        told = raw.get("inputTextTokenCount")
        return Vectors(
            vectors=vectors_of(provider, body, [raw.get("embedding")], count),
            usage=None if told is None else Usage(input=tokens_of(told)),
            raw=body,
        )


WIRE = TitanEmbed()
