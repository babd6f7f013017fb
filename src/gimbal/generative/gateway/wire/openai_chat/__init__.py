"""OpenAI's chat completions, which most providers speak: OpenAI itself, vLLM, llama.cpp, Ollama, OpenRouter …

Source: the public API reference as spoken by the official client 3.x. Two extensions are read and written, because the
thinking of other providers must be handed back to them: `reasoning_content` (text) and `reasoning_details` (texts with
their signatures, and what was hidden) of assistant messages.
"""

from collections.abc import Mapping

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.openai_chat import asked as asking
from gimbal.generative.gateway.wire.openai_chat import decode, encode, errors
from gimbal.generative.gateway.wire.openai_chat.reader import ChatReader
from gimbal.generative.gateway.wire.openai_chat.writer import ChatWriter
from gimbal.generative.gateway.wire.protocol import Asked, Reader, Wire, Writer
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply


class ChatWire:
    """Chat completions."""

    name = "openai.chat"

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
        """Return a request as it goes on, with the model's name, and with usage asked for in streams."""
        return asking.same(asked, model)

    def reader(self, provider: str, *, stream: bool) -> Reader:
        """Return a reader for one answer."""
        return ChatReader(provider)

    def writer(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> Writer:
        """Return a writer for one answer."""
        return ChatWriter(asked, answer_id=answer_id, model=model, created=created, fingerprint=fingerprint)

    def error_reply(self, problem: GimbalError) -> HttpReply:
        """Return the HTTP answer that OpenAI's clients understand as this error."""
        return errors.reply(problem, self.name)


WIRE: Wire = ChatWire()
