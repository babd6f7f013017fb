"""What a wire is: how callers ask by it, how providers answer by it, and both in the other direction.

One folder a wire. Any door to any provider is then a matter of two wires: where they are the same the bytes go through,
else the caller's wire decodes the request, the provider's encodes it, reads the answer, and the caller's writes it.
Embeddings have no conversation: their wires are `embedding.EmbeddingWire`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gimbal.generative.gateway.conversation import Conversation, Done, Json, Piece
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply

Fields = Mapping[str, msgspec.Raw]
"""A request's fields, each still as the caller's bytes."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the path needs to know of every request, read without reading the messages."""

    model: str
    fields: Fields
    stream: bool = False
    wants_usage: bool = True
    """Whether the caller asked for usage in a stream, for wires that ask."""
    user: str = ""
    metadata: Json = {}
    """What the caller says of the call: feature, session, tags … where the wire has a place for it."""
    said: bytes = b""
    """JSON of the messages as they came: what the trace shows as input."""
    thoughts: bool = False
    """Whether thoughts may stand in what is said that another wire sealed, for wires that can tell without looking for them."""
    array: bool = False
    """Whether a stream is one JSON array instead of server-sent events: Gemini's form where `alt=sse` was not asked for."""


class Reader(Protocol):
    """Reads one answer of a provider. Errors name the provider and say what was kept."""

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed; raise Upstream for what is none, an error within a 200 included."""
        ...

    def feed(self, chunk: bytes) -> Sequence[Piece]:
        """Return the pieces that these bytes of a stream complete; raise Upstream for an error event or garbage."""
        ...

    def end(self) -> Sequence[Piece]:
        """Return what was complete when the stream ended; raise Upstream when it ended in the middle of the answer."""
        ...

    @property
    def done(self) -> bool:
        """Whether the last word of a stream has come: what follows is only the connection's own end."""
        ...


class Writer(Protocol):
    """Writes one answer to a caller. `piece` and `end` are for streams."""

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        ...

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the events for a piece, which may be none; `same` says that `piece.raw` is of this very wire."""
        ...

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return what ends the stream: usage where the caller gets it, and the last word of the wire."""
        ...

    def error(self, problem: GimbalError) -> bytes:
        """Return the event that tells of a stream that broke off."""
        ...


class Wire(Protocol):
    """One wire. What a wire has no door or no provider for raises NotImplementedError in that half."""

    @property
    def name(self) -> str:
        """`openai.chat`, `openai.responses`, `anthropic.messages`, `gemini.generate`, `bedrock.converse`, `cohere.chat`."""
        ...

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; raise BadInput naming the field that does not fit. `path` is what the address said."""
        ...

    def conversation(self, asked: Asked) -> Conversation:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        ...

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request that came by another wire; raise BadInput naming what cannot be expressed."""
        ...

    def same(self, asked: Asked, model: str) -> bytes:
        """Return a request of this very wire as it goes on: every field as it came, with the model's name put right."""
        ...

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        ...

    def writer(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> Writer:
        """Return a writer for one answer."""
        ...

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that this wire's clients understand as this error."""
        ...


def inexpressible(field: str, where: str, whose: str) -> BadInput:
    """Return the error for something that one wire can say and another cannot."""
    return BadInput(
        f"{field} cannot be expressed for a provider that speaks {whose}.",
        where=where,
        todo="Leave it out, or choose a provider that speaks the wire that you call.",
    )
