"""The wires that providers speak, by name; each is loaded when a provider first needs it."""

import functools
import importlib
from collections.abc import Mapping
from typing import Any

_FOLDER = "gimbal.generative.gateway.wire"
_MODULES: Mapping[str, str] = {
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "openai.embeddings": "openai_embeddings",
    "anthropic.messages": "anthropic",
    "gemini.generate": "gemini",
    "bedrock.converse": "bedrock",
    "bedrock.embed_cohere": "bedrock.cohere",
    "bedrock.embed_titan": "bedrock.titan",
    "gemini.embed": "gemini.embed",
    "vertex.embed": "gemini.predict",
    "cohere.chat": "cohere",
    "cohere.embed": "cohere.embed",
}


@functools.cache
def wire_named(name: str) -> Any:
    """Return a wire: a Wire, or an EmbeddingWire."""
    return importlib.import_module(f"{_FOLDER}.{_MODULES[name]}").WIRE
