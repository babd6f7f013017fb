"""Cohere's embeddings (v2): provider alone."""

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import count as tokens_of
from gimbal.generative.gateway.wire.answers import decode_table, failed, rows, table, usage_by, vectors_of
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.no_door import NoEmbeddingDoor, texts_of
from gimbal.generative.gateway.wire.protocol import inexpressible

WHOSE = "Cohere's embeddings"
_PURPOSES = {
    # They want a purpose; what is embedded is mostly what is to be found.
    "": "search_document",
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
_MOST = 96


class CohereEmbed(NoEmbeddingDoor):
    """The wire; see `embedding.EmbeddingWire`. Nobody calls us by it."""

    name = "cohere.embed"

    def most(self, model: str) -> int:
        """Return how many inputs one request may have."""
        return _MOST

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        texts = texts_of(embeddings, WHOSE)
        if embeddings.purpose not in _PURPOSES:
            raise inexpressible(f"The purpose {embeddings.purpose!r:.60}", "purpose", WHOSE)
        more: Json = {} if embeddings.dimensions is None else {"output_dimension": embeddings.dimensions}
        return {
            "model": model,
            "texts": texts,
            "input_type": _PURPOSES[embeddings.purpose],
            "embedding_types": ["float"],
            **more,
        }

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to `count` inputs; raise Upstream for what is none."""
        raw = decode_table(provider, body)
        if "embeddings" not in raw and raw.get("message"):
            raise failed(provider, raw["message"], streamed=False)
        vectors = rows(table(raw.get("embeddings")).get("float"))
        return Vectors(
            vectors=vectors_of(provider, body, vectors, count),
            usage=usage_by(wires.cohere, _as_far, raw.get("meta")),
            raw=body,
        )


def _as_far(usage: Json) -> Usage:
    return Usage(input=tokens_of(table(usage.get("billed_units")).get("input_tokens")))


WIRE = CohereEmbed()
