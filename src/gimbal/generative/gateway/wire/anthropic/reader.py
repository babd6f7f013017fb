"""An answer of Anthropic's messages, whole or as a stream of events → Pieces.

Usage comes with cached tokens excluded from the input, and is cumulative in every delta: of each field the last that is
there counts. What is unknown is passed on unread.
"""

import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import AnswerPart, Json, Piece, Text, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of
from gimbal.generative.gateway.wire.answers import (
    count,
    decode_table,
    failed,
    garbage,
    rows,
    table,
    text,
    usage_by,
)
from gimbal.generative.gateway.wire.seals import CLAUDE, marked
from gimbal.generative.gateway.wire.sse import EventParser, ServerEvent
from gimbal.generative.gateway.wire.streaming import StreamReader

_encode = msgspec.json.Encoder().encode
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
}
_FIRST = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


class _Delta(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""


class _BlockDelta(msgspec.Struct, frozen=True, gc=False):
    delta: _Delta
    index: int = 0


_delta = msgspec.json.Decoder(_BlockDelta).decode


class Reader(StreamReader[ServerEvent]):
    """Reads one answer."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider, EventParser())
        self._usage: Json = {}
        self._tools: dict[int, int] = {}
        """Which of the tool calls each of the blocks is."""
        self._signature: list[str] = []
        """Of the block that is open, as far as it has come."""

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        if raw.get("type") == "error" or raw.get("error"):
            raise failed(self._provider, raw.get("error"), streamed=False)
        blocks = [table(block) for block in rows(raw.get("content"))]
        if not blocks and raw.get("stop_reason") is None and raw.get("usage") is None:
            raise garbage(self._provider, body)
        said = answer_of(_parts(blocks))
        said["refusal"] = _refusal(raw)
        return Piece(
            **said,
            finish=_FINISH.get(text(raw.get("stop_reason")), "stop"),
            usage=usage_of(raw.get("usage")),
            model=text(raw.get("model")),
            id=text(raw.get("id")),
            raw=body,
        )

    def _piece(self, event: ServerEvent) -> Piece:
        raw = event.data
        if event.name == "content_block_delta":
            try:
                return self._content(event, _delta(raw))
            except (ValueError, RecursionError):
                pass  # it is read as any other event below, which says what is wrong with it
        told = decode_table(self._provider, raw, streamed=True)
        # Some servers do not name their events; the type says the same.
        name = event.name or text(told.get("type"))
        kind = text(told.get("type")) or name
        if kind == "content_block_delta":
            try:
                return self._content(ServerEvent(raw, name), msgspec.convert(told, _BlockDelta))
            except msgspec.ValidationError:
                raise garbage(self._provider, raw, streamed=True) from None
        if kind == "message_start":
            return self._start(name, raw, table(told.get("message")))
        if kind == "content_block_start":
            return self._block(name, raw, told)
        if kind == "content_block_stop":
            # It may come in parts, and means nothing until it is whole.
            signature, self._signature = "".join(self._signature), []
            return Piece(signature=marked(CLAUDE, signature), raw=raw, event=name)
        if kind == "message_delta":
            return self._last(name, raw, told)
        if kind == "error":
            raise failed(self._provider, told.get("error"), streamed=True)
        if kind == "message_stop":
            self._ended = True
        return Piece(raw=raw, event=name)

    def _content(self, event: ServerEvent, told: _BlockDelta) -> Piece:
        delta = told.delta
        kind = delta.type
        if kind == "text_delta":
            return Piece(text=delta.text, raw=event.data, event=event.name)
        if kind == "input_json_delta":
            place = self._tools.get(told.index)
            # What is not ours to answer, as the input of a tool that Anthropic runs itself, is no call.
            calls = () if place is None else (ToolCall(index=place, arguments=delta.partial_json),)
            return Piece(tool_calls=calls, raw=event.data, event=event.name)
        if kind == "thinking_delta":
            return Piece(reasoning=delta.thinking, raw=event.data, event=event.name)
        if kind == "signature_delta":
            self._signature.append(delta.signature)
        return Piece(raw=event.data, event=event.name)

    def _start(self, name: str, raw: bytes, message: Json) -> Piece:
        self._usage = wires.merged((message.get("usage"),))
        return Piece(
            usage=usage_of(self._usage),
            model=text(message.get("model")),
            id=text(message.get("id")),
            raw=raw,
            event=name,
        )

    def _block(self, name: str, raw: bytes, told: Json) -> Piece:
        block = table(told.get("content_block"))
        kind = text(block.get("type"))
        if kind not in _FIRST:
            return Piece(raw=raw, event=name)
        calls: tuple[ToolCall, ...] = ()
        self._signature = [text(block.get("signature"))]
        if kind == "tool_use":
            place = self._tools.setdefault(count(told.get("index")), len(self._tools))
            given = block.get("input")
            # Some servers send the whole input at once, and no deltas.
            said = _encode(given).decode() if given else ""
            calls = (ToolCall(index=place, id=text(block.get("id")), name=text(block.get("name")), arguments=said),)
        return Piece(
            text=text(block.get("text")),
            reasoning=text(block.get("thinking")),
            redacted=marked(CLAUDE, text(block.get("data"))),
            tool_calls=calls,
            raw=raw,
            event=name,
        )

    def _last(self, name: str, raw: bytes, told: Json) -> Piece:
        # Cumulative: a field that is there replaces the one before, one that is absent leaves it.
        self._usage = wires.merged((self._usage, told.get("usage")))
        delta = table(told.get("delta"))
        stop = text(delta.get("stop_reason"))
        return Piece(
            usage=usage_of(self._usage),
            finish=_FINISH.get(stop, "stop") if stop else "",
            refusal=_refusal(delta),
            raw=raw,
            event=name,
        )


def _parts(blocks: list[Json]) -> list[AnswerPart]:
    """Return what the blocks of a whole answer say, in order."""
    parts: list[AnswerPart] = []
    calls = 0
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            if said := text(block.get("text")):
                parts.append(Text(text=said))
        elif kind == "tool_use":
            given = _encode(block.get("input") or {}).decode()
            call = ToolCall(index=calls, id=text(block.get("id")), name=text(block.get("name")), arguments=given)
            parts.append(call)
            calls += 1
        elif thought := _thought(block):
            parts.append(thought)
    return parts


def _thought(block: Json) -> Thinking | None:
    """Return a block as what was thought; None where it is something else, or nothing."""
    kind = block.get("type")
    if kind == "redacted_thinking":
        hidden = marked(CLAUDE, text(block.get("data")))
        return Thinking(redacted=hidden) if hidden else None
    if kind != "thinking":
        return None
    found = Thinking(text=text(block.get("thinking")), signature=marked(CLAUDE, text(block.get("signature"))))
    return found if found.text or found.signature else None


def _refusal(told: Json) -> str:
    """Return why the model refused, where it says so."""
    details = table(told.get("stop_details"))
    return text(details.get("explanation")) if details.get("type") == "refusal" else ""


def usage_of(value: object) -> Usage | None:
    """Return Anthropic's usage; None when it is absent or says nothing of input and output."""
    return usage_by(wires.anthropic, _as_far, value)


def _as_far(usage: Json) -> Usage:
    """Return as much as can be read of a usage that contradicts itself."""
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    return Usage.of(
        input_tokens=count(usage.get("input_tokens")) + read + written,
        output_tokens=count(usage.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(table(usage.get("output_tokens_details")).get("thinking_tokens")),
    )
