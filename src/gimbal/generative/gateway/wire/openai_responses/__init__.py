"""OpenAI's responses: a list of items in, a list of items out, typed events between.

Source: the public API reference as spoken by the official client 3.x. We remember nothing from one request to the next:
what needs that is refused where the provider is of another wire.
"""

from collections.abc import Mapping

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.openai_chat import errors
from gimbal.generative.gateway.wire.openai_responses import asked as asking
from gimbal.generative.gateway.wire.openai_responses import decode, encode
from gimbal.generative.gateway.wire.openai_responses.reader import ResponsesReader
from gimbal.generative.gateway.wire.openai_responses.writer import ResponsesWriter
from gimbal.generative.gateway.wire.protocol import Asked, Reader, Wire, Writer
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply


class ResponsesWire:
    """Responses."""

    name = "openai.responses"

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        """Read a request; raise BadInput naming the field that does not fit."""
        return asking.asked(body)

    def conversation(self, asked: Asked) -> Conversation:
        """Decode all of it; raise BadInput naming the field that does not fit."""
        return decode.conversation(asked)

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> Json:
        """Encode a request that came by another wire; raise BadInput naming what cannot be expressed."""
        return encode.request(conversation, model, stream=stream)

    def same(self, asked: Asked, model: str) -> bytes:
        """Return a request as it goes on, with the model's name."""
        return asking.same(asked, model)

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return ResponsesReader(provider)

    def writer(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> Writer:
        """Return a writer for one answer; responses have no fingerprint."""
        return ResponsesWriter(asked, answer_id=answer_id, model=model, created=created)

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that OpenAI's clients understand as this error."""
        return errors.reply(problem, self.name)


WIRE: Wire = ResponsesWire()
