"""Vertex' embeddings of text, by `predict`: provider alone."""

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import count as tokens_of
from gimbal.generative.gateway.wire.answers import decode_table, failed, rows, table, vectors_of
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.gemini.embed import task_of
from gimbal.generative.gateway.wire.no_door import NoEmbeddingDoor, texts_of

WHOSE = "Vertex' embeddings"
_MOST = 250


class VertexEmbed(NoEmbeddingDoor):
    """The wire; see `embedding.EmbeddingWire`. Nobody calls us by it."""

    name = "vertex.embed"

    def most(self, model: str) -> int:
        """Return how many inputs one request may have."""
        return 1 if model.startswith("gemini-") else _MOST

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        task = task_of(embeddings, WHOSE)
        more: Json = {"task_type": task} if task else {}
        # Left to itself it cuts what is too long and says nothing.
        settings: Json = {"autoTruncate": False}
        if embeddings.dimensions is not None:
            settings["outputDimensionality"] = embeddings.dimensions
        return {
            "instances": [{"content": said, **more} for said in texts_of(embeddings, WHOSE)],
            "parameters": settings,
        }

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to `count` inputs; raise Upstream for what is none."""
        raw = decode_table(provider, body)
        if raw.get("error"):
            raise failed(provider, raw["error"], streamed=False)
        found = [table(table(row).get("embeddings")) for row in rows(raw.get("predictions"))]
        told = [table(one.get("statistics")).get("token_count") for one in found]
        return Vectors(
            vectors=vectors_of(provider, body, [one.get("values") for one in found], count),
            # What is not told of one is not known of all.
            usage=None if None in told else Usage(input=sum(map(tokens_of, told))),
            raw=body,
        )


WIRE = VertexEmbed()
