"""Cohere's embeddings on Bedrock, by InvokeModel: their own wire, but for the model, which stands in the path.

How many tokens there were is told by a header of Bedrock's, not in the body.
"""

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.cohere.embed import WHOSE, CohereEmbed
from gimbal.generative.gateway.wire.embedding import Embeddings
from gimbal.generative.gateway.wire.protocol import inexpressible


class BedrockCohereEmbed(CohereEmbed):
    """The wire; see `embedding.EmbeddingWire`. Nobody calls us by it."""

    name = "bedrock.embed_cohere"

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request; raise BadInput naming what cannot be expressed."""
        if embeddings.dimensions is not None and "-v3" in model:
            raise inexpressible(f"Another length of the vectors of {model[:80]}", "dimensions", WHOSE)
        body = super().request(embeddings, model)
        del body["model"]
        return body


WIRE = BedrockCohereEmbed()
