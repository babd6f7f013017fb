"""Gemini's generateContent and streamGenerateContent: door and provider; and its embeddings: provider alone."""

from collections.abc import Mapping

import msgspec

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.fields import value_of
from gimbal.generative.gateway.wire.gemini import decode, encode, opening
from gimbal.generative.gateway.wire.gemini.reader import Reader
from gimbal.generative.gateway.wire.gemini.writer import Writer
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.gateway.wire.seals import has_packed
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply

_encode = msgspec.json.Encoder().encode


class GeminiGenerate:
    """The wire; see `protocol.Wire`. Providers are asked for events (`alt=sse`), whatever the caller asked for."""

    name = "gemini.generate"

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; `path` has `model`, `action`, and `alt` where the query has it."""
        return decode.asked(body, path)

    def conversation(self, asked: Asked) -> Conversation:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        return decode.conversation(asked)

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request that came by another wire; model and stream go into the address."""
        return encode.request(conversation, model)

    def same(self, asked: Asked, model: str) -> bytes:
        """Return the request as it goes on: every field as it came; the model goes into the address.

        Signatures of other makers' models are left out: Gemini refuses what it did not sign.
        """
        if not has_packed(asked.said):
            return _encode(asked.fields)
        contents = opening.contents(value_of(asked.fields["contents"], "contents"), model)
        return _encode({**asked.fields, "contents": contents})

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return Reader(provider)

    def writer(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> Writer:
        """Return a writer for one answer."""
        return Writer(answer_id=answer_id, model=model, array=asked.array)

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that Google's clients understand as this error."""
        return encode.error_reply(problem)

    def counted(self, tokens: int) -> bytes:
        """Return the answer to a request that only asked how many tokens it has."""
        return _encode({"totalTokens": tokens})


WIRE = GeminiGenerate()
