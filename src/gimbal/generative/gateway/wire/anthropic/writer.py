"""An answer that came by any wire → Anthropic's messages, whole or as a stream of events.

A stream of events has blocks: thoughts, text and calls of tools each open one, and close the one before.
"""

from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Json, Piece, Thinking, ToolCall
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.anthropic.encode import error_body
from gimbal.generative.gateway.wire.sse import named
from gimbal.kernel.errors import GimbalError

_encode = msgspec.json.Encoder().encode
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TIERS = frozenset({"standard", "priority", "batch"})
_TOOLS = {"web_search": "web_search_requests", "web_fetch": "web_fetch_requests"}


class Writer:
    """Writes one answer."""

    def __init__(self, *, answer_id: str, model: str) -> None:
        self._id = _prefixed(answer_id)
        self._model = model
        self._begun = False
        self._next = 0
        self._open = ""
        """What the open block is: thinking, text or tool_use; empty when none is open."""
        self._calls: dict[int, int] = {}
        """Which block each of the tool calls is."""

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        blocks: list[Json] = []
        for part in done.order:
            if isinstance(part, ToolCall):
                given = arguments(part.arguments)
                # A model may write what is no JSON; this is how their own documents hand such a text on.
                whole = {"INVALID_JSON": part.arguments} if given is None else given
                blocks.append(_call(part, part.index) | {"input": whole})
            elif not isinstance(part, Thinking):
                if blocks and blocks[-1]["type"] == "text":
                    blocks[-1]["text"] += part.text
                else:
                    blocks.append({"type": "text", "text": part.text})
            elif part.redacted:
                blocks.append({"type": "redacted_thinking", "data": part.redacted})
            else:
                blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
        usage = encode_usage(done.usage)
        message = self._message(blocks, usage, done.model) | _stopped(done.finish, done.refusal)
        return _encode(message | {"usage_estimated": True} if done.estimated else message)

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the events for a piece."""
        if same:
            self._begun = True
            # Data of several lines would be several values; JSON has no line that means anything.
            raw = piece.raw.replace(b"\n", b" ") if b"\n" in piece.raw else piece.raw
            return b"event: " + piece.event.encode() + b"\ndata: " + raw + b"\n\n"
        events = b"" if self._begun else self._start(piece)
        if piece.reasoning or piece.signature or piece.redacted or piece.thoughts:
            for part in piece.thinking:
                if part.text:
                    events += self._said("thinking", {"thinking": "", "signature": ""}, "thinking_delta", part.text)
                if part.signature:
                    events += self._signed(part.signature)
                if part.redacted:
                    events += self._opened("redacted_thinking", {"data": part.redacted}) + self._closed()
        for said in (piece.text, piece.refusal):
            if said:
                events += self._said("text", {"text": ""}, "text_delta", said)
        for call in piece.tool_calls:
            events += self._called(call)
        return events

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return the end of the last block, why it stopped, and the usage."""
        if same:
            return b""
        events = b"" if self._begun else self._start(Piece(model=done.model))
        told: Json = {
            "type": "message_delta",
            "delta": _stopped(done.finish, done.refusal),
            "usage": encode_usage(done.usage),
        }
        if done.estimated:
            told["usage_estimated"] = True
        return events + self._closed() + named("message_delta", told) + named("message_stop", {"type": "message_stop"})

    def error(self, problem: GimbalError) -> bytes:
        """Return the event that tells of a stream that broke off."""
        return named("error", error_body(problem))

    def _message(self, blocks: list[Json], usage: Json, model: str) -> Json:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": model or self._model,
            "content": blocks,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }

    def _start(self, piece: Piece) -> bytes:
        self._begun = True
        message = self._message([], encode_usage(piece.usage or Usage()), self._model or piece.model)
        return named("message_start", {"type": "message_start", "message": message})

    def _said(self, kind: str, empty: Json, delta: str, said: str) -> bytes:
        opened = b"" if self._open == kind else self._opened(kind, empty)
        return opened + self._delta(self._next - 1, {"type": delta, kind: said})

    def _signed(self, signature: str) -> bytes:
        opened = b"" if self._open == "thinking" else self._opened("thinking", {"thinking": "", "signature": ""})
        signed = self._delta(self._next - 1, {"type": "signature_delta", "signature": signature})
        # What follows a signature is another thought.
        return opened + signed + self._closed()

    def _called(self, call: ToolCall) -> bytes:
        block = self._calls.get(call.index)
        events = b""
        if block is None:
            first = _call(call, call.index)
            events = self._opened("tool_use", first | {"input": {}})
            block = self._calls[call.index] = self._next - 1
        if call.arguments:
            events += self._delta(block, {"type": "input_json_delta", "partial_json": call.arguments})
        return events

    def _opened(self, kind: str, block: Json) -> bytes:
        closed = self._closed()
        self._open = kind
        told = {"type": "content_block_start", "index": self._next, "content_block": {"type": kind, **block}}
        self._next += 1
        return closed + named("content_block_start", told)

    def _closed(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return named("content_block_stop", {"type": "content_block_stop", "index": self._next - 1})

    def _delta(self, block: int, delta: Json) -> bytes:
        return named("content_block_delta", {"type": "content_block_delta", "index": block, "delta": delta})


def _prefixed(answer_id: str) -> str:
    return answer_id if answer_id.startswith("msg_") else f"msg_{answer_id}"


def _call(call: ToolCall, place: int) -> Json:
    return {"type": "tool_use", "id": call.id or f"toolu_{place}", "name": call.name}


def _stopped(finish: str, refusal: str) -> Json:
    # A refusal is a reason of its own here; other wires tell of it beside the reason.
    reason = "refusal" if refusal and finish in {"", "stop"} else _STOP.get(finish, "end_turn")
    told: Json = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        # What was said in refusing is among the text, where people see it.
        told["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return told


def encode_usage(usage: Usage) -> Json:
    """Return usage in Anthropic's form: what is cached stands beside the input."""
    told: Json = {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output_tokens,
    }
    tools: dict[str, Any] = {_TOOLS[name]: uses for name, uses in usage.requests.items() if name in _TOOLS}
    if tools:
        told["server_tool_use"] = {"web_search_requests": 0, "web_fetch_requests": 0} | tools
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told | {"service_tier": usage.tier} if usage.tier in _TIERS else told
