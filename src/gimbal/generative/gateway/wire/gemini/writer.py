"""An answer that came by any wire → Gemini's generateContent, whole, as events, or as one JSON array.

A call of a tool is never in parts there, so that calls are written when the answer has ended.
"""

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Json, Piece, Thinking
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.gemini.encode import error_body
from gimbal.generative.gateway.wire.seals import GEMINI, opened
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
        self._signed = False
        """Whether a signature has been written with its thought."""

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        several = len(done.thoughts) > 1
        thoughts = done.thoughts if several else (Thinking(text=done.reasoning),)
        parts = [_thought(part) for part in thoughts if part.text or part.signature]
        if said := done.text + done.refusal:
            parts.append({"text": said})
        return _encode(self._last(done, parts, done.signature))

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the event for a piece, which may be none."""
        if same:
            return self._framed(piece.raw)
        parts: list[Json] = []
        for part in piece.thinking:
            # Their own signature stands on what follows the thoughts, once it is there.
            own = opened(part.signature)[0] == GEMINI
            if part.text or (part.signature and not own):
                parts.append(_thought(Thinking(text=part.text) if own else part))
            self._signed = self._signed or bool(part.signature and not own)
        if said := piece.text + piece.refusal:
            parts.append({"text": said})
        if not parts:
            return b""
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        answer: Json = {"candidates": [candidate], "modelVersion": self._model or piece.model, "responseId": self._id}
        if piece.usage is not None:
            answer["usageMetadata"] = encode_usage(piece.usage)
        return self._framed(_encode(answer))

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return the calls of tools, why it ended, and the usage."""
        signature = "" if self._signed else done.signature
        last = b"" if same else self._framed(_encode(self._last(done, [], signature)))
        return last + self._closed()

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

    def _last(self, done: Done, parts: list[Json], signature: str) -> Json:
        malformed = ""
        for call in done.tool_calls:
            given = arguments(call.arguments)
            if given is None:
                malformed = f"Malformed function call: {call.name}({call.arguments})"
                continue
            parts.append({"functionCall": {"id": call.id, "name": call.name, "args": given}})
        if signature:
            # It stands on what follows the thoughts.
            place = next((part for part in parts if not part.get("thought")), None)
            if place is None:
                parts.append({"text": "", "thoughtSignature": signature})
            else:
                place["thoughtSignature"] = signature
        candidate: Json = {
            "content": {"role": "model", "parts": parts},
            "finishReason": _FINISH.get(done.finish, "STOP"),
        }
        if done.refusal and done.finish in {"", "stop"}:
            candidate["finishReason"] = "SAFETY"
        if malformed:
            candidate |= {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": malformed}
        answer: Json = {
            "candidates": [candidate | {"index": 0}],
            "usageMetadata": encode_usage(done.usage),
            "modelVersion": done.model or self._model,
            "responseId": self._id,
        }
        return answer | {"usageEstimated": True} if done.estimated else answer


def _thought(part: Thinking) -> Json:
    told: Json = {"text": part.text, "thought": True}
    return told | {"thoughtSignature": part.signature} if part.signature else told


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
