"""An answer that came by any wire → Gemini's generateContent, whole, as events, or as one JSON array.

A call of a tool is never in parts there, so that calls are written when the answer has ended.
"""

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Json, Piece, Refused, Text, Thinking, ToolCall
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.gemini.encode import error_body
from gimbal.generative.gateway.wire.gemini.parts import sign
from gimbal.generative.gateway.wire.seals import GEMINI, opened, packed
from gimbal.kernel.errors import GimbalError

_encode = msgspec.json.Encoder().encode
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Writer:
    """Writes one answer."""

    def __init__(self, *, answer_id: str, model: str, array: bool) -> None:
        self._id = answer_id
        self._model = model
        self._array = array
        self._begun = False
        self._calls: dict[int, ToolCall] = {}
        """Calls that are not written yet."""
        self._pending = ""
        """A signature of Gemini's own: it stands on what follows."""
        self._malformed = ""
        """What a call says that is no JSON."""

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        parts: list[Json] = []
        signature, begin, exactly = "", 0, False
        for part in done.order:
            if not isinstance(part, Thinking):
                parts += self._part(part)
                continue
            sign(parts, begin, signature, exactly=exactly)
            parts += _thought(part)
            signature, begin, exactly = _own(part), len(parts), not part.text
        sign(parts, begin, signature, exactly=exactly)
        return _encode(self._last(done, parts))

    def _part(self, part: Text | Refused | ToolCall) -> list[Json]:
        """Return what is said or called; nothing for a call that is no JSON, of which the end tells."""
        if not isinstance(part, ToolCall):
            return [{"text": part.text}]
        given = arguments(part.arguments)
        if given is None:
            self._malformed = f"Malformed function call: {part.name}({part.arguments})"
            return []
        return [{"functionCall": {"id": part.id, "name": part.name, "args": given}}]

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the event for a piece, which may be none."""
        if same:
            return self._framed(piece.raw) if piece.raw else b""
        parts: list[Json] = []
        if piece.reasoning or piece.signature or piece.redacted or piece.thoughts:
            parts += self._thoughts(piece)
        if said := piece.text + piece.refusal:
            if self._calls:
                parts += self._ended()
            parts.append({"text": said})
            if self._pending:
                self._signed(parts[-1:])
        for call in piece.tool_calls:
            self._called(call)
        if not parts:
            return b""
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        answer: Json = {"candidates": [candidate], "modelVersion": self._model or piece.model, "responseId": self._id}
        if piece.usage is not None:
            answer["usageMetadata"] = encode_usage(piece.usage)
        return self._framed(_encode(answer))

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return the calls of tools, why it ended, and the usage."""
        if same:
            return self._closed()
        parts = self._ended()
        # They have no answer without a part: their own clients forget a conversation that has one.
        parts = parts if parts and not self._pending else [*parts, *self._signed([{"text": ""}])]
        return self._framed(_encode(self._last(done, parts))) + self._closed()

    def _thoughts(self, piece: Piece) -> list[Json]:
        parts = self._ended()
        for part in piece.thinking:
            if self._pending:
                parts += self._signed([{"text": ""}])
            parts += _thought(part)
            self._pending = _own(part)
        return parts

    def _called(self, call: ToolCall) -> None:
        before = self._calls.get(call.index, ToolCall(index=call.index))
        self._calls[call.index] = ToolCall(
            index=call.index,
            id=call.id or before.id,
            name=call.name or before.name,
            arguments=before.arguments + call.arguments,
        )

    def _ended(self) -> list[Json]:
        """Return the calls up to here: what comes after one comes after all of it."""
        if not self._calls:
            return []
        calls, self._calls = self._calls, {}
        return self._signed([row for place in sorted(calls) for row in self._part(calls[place])])

    def _signed(self, parts: list[Json]) -> list[Json]:
        """Return parts of which the first has the signature that waits."""
        if parts and self._pending:
            parts[0]["thoughtSignature"] = self._pending
            self._pending = ""
        return parts

    def error(self, problem: GimbalError) -> bytes:
        """Return the event that tells of a stream that broke off."""
        return self._framed(_encode(error_body(problem))) + self._closed()

    def _framed(self, raw: bytes) -> bytes:
        if not self._array:
            # Data of several lines would be several values.
            return b"data: " + raw.translate(_ONE_LINE) + b"\r\n\r\n"
        first, self._begun = not self._begun, True
        return (b"[" if first else b",\r\n") + raw

    def _closed(self) -> bytes:
        if not self._array:
            return b""
        return b"]" if self._begun else b"[]"

    def _last(self, done: Done, parts: list[Json]) -> Json:
        candidate: Json = {
            "content": {"role": "model", "parts": parts},
            "finishReason": _FINISH.get(done.finish, "STOP"),
        }
        if done.refusal and done.finish in {"", "stop"}:
            candidate["finishReason"] = "SAFETY"
        if self._malformed:
            candidate |= {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": self._malformed}
        answer: Json = {
            "candidates": [candidate | {"index": 0}],
            "usageMetadata": encode_usage(done.usage),
            "modelVersion": done.model or self._model,
            "responseId": self._id,
        }
        return answer | {"usageEstimated": True} if done.estimated else answer


def _own(part: Thinking) -> str:
    """Return a signature of Gemini's own, which stands on what follows the thought."""
    mark, cipher = opened(part.signature)
    return cipher if mark == GEMINI else ""


def _thought(part: Thinking) -> list[Json]:
    """Return a thought, with the seal of another maker; one that is hidden is nothing but its seal."""
    seal = part.redacted or ("" if _own(part) else part.signature)
    if not (part.text or seal):
        return []
    told: Json = {"text": part.text, "thought": True}
    return [told | {"thoughtSignature": packed(seal, hidden=bool(part.redacted))} if seal else told]


def encode_usage(usage: Usage) -> Json:
    """Return usage in Gemini's form: what is cached is part of the input, thoughts stand beside the output."""
    said = usage.output_tokens - usage.reasoning_tokens
    told: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens:
        told["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        told["thoughtsTokenCount"] = usage.reasoning_tokens
    # Images that were cached are told among the cached alone.
    heard, seen = usage.audio_input + usage.audio_cache_read, usage.image_input
    if heard or seen:
        told["promptTokensDetails"] = _by_mode(usage.input_tokens, heard, seen)
    if usage.audio_cache_read:
        told["cacheTokensDetails"] = _by_mode(usage.cache_read_tokens, usage.audio_cache_read, 0)
    if usage.audio_output or usage.image_output:
        told["candidatesTokensDetails"] = _by_mode(said, usage.audio_output, usage.image_output)
    return told


def _by_mode(whole: int, audio: int, image: int) -> list[Json]:
    counts = {"TEXT": whole - audio - image, "AUDIO": audio, "IMAGE": image}
    return [{"modality": mode, "tokenCount": tokens} for mode, tokens in counts.items() if tokens]
