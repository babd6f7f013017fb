"""Anthropic's messages: door and provider.

`request` and `asked` serve `count_tokens` too: it has the same fields but for the limit and the stream.
"""

from collections.abc import Mapping

import msgspec

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.anthropic import decode, encode, opening
from gimbal.generative.gateway.wire.anthropic.reader import Reader
from gimbal.generative.gateway.wire.anthropic.writer import Writer
from gimbal.generative.gateway.wire.fields import value_of
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.gateway.wire.seals import sealed
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply

VERSION = "2023-06-01"
"""What `anthropic-version` says of the wire that is spoken here."""
_LABELS = frozenset({"feature", "user", "session", "prompt", "endpoint", "tags", "variables"})
"""What callers say to us in `metadata`, beside the `user_id` that Anthropic knows."""
_encode = msgspec.json.Encoder().encode


class AnthropicMessages:
    """The wire; see `protocol.Wire`."""

    name = "anthropic.messages"

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; raise BadInput naming the field that does not fit."""
        return decode.asked(body)

    def conversation(self, asked: Asked) -> Conversation:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        return decode.conversation(asked)

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request that came by another wire; raise BadInput naming what cannot be expressed."""
        return encode.request(conversation, model, stream=stream)

    def same(self, asked: Asked, model: str) -> bytes:
        """Return the request as it goes on: every field as it came, with the model's name put right.

        Thoughts that other makers' models had in this conversation are left out: Anthropic refuses what it did not seal. So are
        labels that are meant for us: it refuses metadata that it does not know.
        """
        fields: Json = {**asked.fields, "model": model}
        if not _LABELS.isdisjoint(asked.metadata):
            fields["metadata"] = {name: value for name, value in asked.metadata.items() if name not in _LABELS}
        if sealed(asked.said):
            fields["messages"] = opening.messages(value_of(asked.fields["messages"], "messages"))
        return _encode(fields)

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return Reader(provider)

    def writer(
        self,
        asked: Asked,
        *,
        answer_id: str,
        model: str,
        created: int,
        fingerprint: str = "",
    ) -> Writer:
        """Return a writer for one answer."""
        return Writer(answer_id=answer_id, model=model)

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that Anthropic's clients understand as this error."""
        return encode.error_reply(problem)

    def counted(self, tokens: int) -> bytes:
        """Return the answer to a request that only asked how many tokens it has."""
        return _encode({"input_tokens": tokens})


WIRE = AnthropicMessages()
