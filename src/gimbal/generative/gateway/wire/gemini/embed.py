"""Gemini's batchEmbedContents: provider alone."""

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import count as tokens_of
from gimbal.generative.gateway.wire.answers import decode_table, failed, rows, table, usage_by, vectors_of
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.no_door import NoEmbeddingDoor, texts_of
from gimbal.generative.gateway.wire.protocol import inexpressible

WHOSE = "Gemini's embeddings"
_PURPOSES = {
    "": "",
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_MOST = 100


def task_of(embeddings: Embeddings, whose: str) -> str:
    """Return what the vectors are for in Google's words; empty where nothing was said."""
    if embeddings.purpose not in _PURPOSES:
        raise inexpressible(f"The purpose {embeddings.purpose!r:.60}", "purpose", whose)
    return _PURPOSES[embeddings.purpose]


class GeminiEmbed(NoEmbeddingDoor):
    """The wire; see `embedding.EmbeddingWire`. Nobody calls us by it."""

    name = "gemini.embed"

    def most(self, model: str) -> int:
        """Return how many inputs one request may have."""
        return _MOST

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        texts = texts_of(embeddings, WHOSE)
        task = task_of(embeddings, WHOSE)
        more: Json = {"taskType": task} if task else {}
        if embeddings.dimensions is not None:
            more["outputDimensionality"] = embeddings.dimensions
        name = f"models/{model}"
        return {"requests": [{"model": name, "content": {"parts": [{"text": said}]}, **more} for said in texts]}

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to `count` inputs; raise Upstream for what is none."""
        raw = decode_table(provider, body)
        if raw.get("error"):
            raise failed(provider, raw["error"], streamed=False)
        vectors = [table(row).get("values") for row in rows(raw.get("embeddings"))]
        return Vectors(
            vectors=vectors_of(provider, body, vectors, count),
            usage=usage_by(wires.gemini, _as_far, raw.get("usageMetadata")),
            raw=body,
        )


def _as_far(usage: Json) -> Usage:
    return Usage(input=tokens_of(usage.get("promptTokenCount")))


WIRE = GeminiEmbed()
