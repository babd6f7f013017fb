"""Embeddings in normal form, and what a wire for them is: they have no messages, no tools and no stream.

`openai_embeddings` is the door; Gemini and Cohere answer it by wires that have the provider's half only (`request` and
`read`), and raise NotImplementedError in the other.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply


class Embeddings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request for vectors in normal form."""

    inputs: tuple[str | tuple[int, ...], ...]
    """What is to be embedded, one vector each: texts, or the tokens of texts."""
    dimensions: int | None = None
    """How long each vector shall be; None where nothing was said."""
    purpose: str = ""
    """query, document, classification or clustering; empty where nothing was said."""
    user: str = ""
    """Whom the provider shall hold responsible."""
    extras: Json = {}
    """As of a Conversation: fields without a place above that were not null, by name."""


class Vectors(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in normal form."""

    vectors: Sequence[Sequence[float]] = ()
    """One for each input, in their order; empty where only `raw` was wanted."""
    usage: Usage | None = None
    model: str = ""
    """As the provider names it."""
    raw: bytes = b""
    """The body as the provider sent it, for a caller of the same wire."""


def joined(answers: Sequence[Vectors]) -> Vectors:
    """Return the answers to parts of a request as one; usage that one of them does not tell is not known of all."""
    if len(answers) == 1:
        return answers[0]
    known = [one.usage for one in answers if one.usage is not None]
    contradictory = any(usage.contradictory for usage in known)
    usage = Usage(input=sum(usage.input_tokens for usage in known), contradictory=contradictory)
    return Vectors(
        vectors=[row for one in answers for row in one.vectors],
        usage=usage if len(known) == len(answers) else None,
        model=answers[0].model,
    )


class EmbeddingWire(Protocol):
    """One wire for embeddings."""

    @property
    def name(self) -> str:
        """`openai.embeddings`, `gemini.embed`, `vertex.embed`, `cohere.embed`, `bedrock.embed_titan` …"""
        ...

    def most(self, model: str) -> int:
        """Return how many inputs one request to a provider may have; who is asked for more is asked several times."""
        ...

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; raise BadInput naming the field that does not fit."""
        ...

    def embeddings(self, asked: Asked) -> Embeddings:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        ...

    def same(self, asked: Asked, model: str) -> bytes:
        """Return a request of this very wire as it goes on: every field as it came, with the model's name put right."""
        ...

    def write(self, asked: Asked, vectors: Vectors, *, model: str) -> bytes:
        """Return the body of an answer that came by another wire; its usage is never missing then."""
        ...

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that this wire's clients understand as this error."""
        ...

    def request(self, embeddings: Embeddings, model: str) -> Json:
        """Encode a request that came by another wire; raise BadInput naming what cannot be expressed."""
        ...

    def read(self, body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
        """Read an answer to `count` inputs; raise Upstream for what is none.

        With `same` the caller is of this very wire and gets `raw`: then the vectors are counted but not decoded.
        """
        ...
