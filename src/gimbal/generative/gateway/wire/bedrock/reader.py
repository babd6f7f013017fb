"""An answer of Bedrock's Converse, whole or as an event stream → Pieces."""

import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import AnswerPart, Json, Piece, Text, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of
from gimbal.generative.gateway.wire.answers import (
    count,
    cut_short,
    decode_table,
    failed,
    garbage,
    rows,
    table,
    text,
    usage_by,
)
from gimbal.generative.gateway.wire.bedrock.frames import Frame, FrameParser
from gimbal.generative.gateway.wire.seals import CLAUDE, marked
from gimbal.generative.gateway.wire.streaming import StreamReader

_encode = msgspec.json.Encoder().encode
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
}
# The model ended by itself, with nothing that could be used: other wires have no word for why.
_FAILED = {
    "malformed_model_output": "The model's answer was malformed.",
    "malformed_tool_use": "The model's call of a tool was malformed.",
}


class Reader(StreamReader[Frame]):
    """Reads one answer."""

    def __init__(self, provider: str) -> None:
        self._frames = FrameParser()
        super().__init__(provider, self._frames)
        self._tools: dict[int, int] = {}
        """Which of the tool calls each of the blocks is."""
        self._seals: dict[str, list[str]] = {"signature": [], "redactedContent": []}
        """Of the block that is open: its signature or what it hides, as far as it has come."""

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        message = table(table(raw.get("output")).get("message"))
        if "output" not in raw:
            if raw.get("message") or raw.get("Message"):
                raise failed(self._provider, raw.get("message") or raw.get("Message"), streamed=False)
            raise garbage(self._provider, body)
        parts: list[AnswerPart] = []
        calls = 0
        for row in rows(message.get("content")):
            block = table(row)
            if said := text(block.get("text")) + _cited(block):
                parts.append(Text(text=said))
            if thought := _thought(table(block.get("reasoningContent"))):
                parts.append(thought)
            use = table(block.get("toolUse"))
            if use and use.get("type") != "server_tool_use":
                parts.append(_call(calls, use, _encode(use.get("input") or {}).decode()))
                calls += 1
        finish, refusal = _why(raw.get("stopReason"))
        answer = answer_of(parts)
        answer["refusal"] = refusal
        return Piece(
            **answer,
            finish=finish or "stop",
            usage=usage_of(raw),
            raw=body,
        )

    def end(self) -> list[Piece]:
        """Return nothing more; raise Upstream when the stream ended in the middle, of a message too."""
        if not self._frames.idle:
            raise cut_short(self._provider)
        return super().end()

    def _piece(self, event: Frame) -> Piece:
        headers = event.headers
        kind = headers.get(":message-type", "event")
        if kind == "error":
            raise failed(self._provider, headers.get(":error-message") or headers.get(":error-code"), streamed=True)
        told = decode_table(self._provider, event.payload or b"{}", streamed=True)
        if kind == "exception":
            said = text(told.get("message")) or text(told.get("originalMessage"))
            name = headers.get(":exception-type", "exception")
            raise failed(self._provider, f"{name}: {said}" if said else name, streamed=True)
        name = headers.get(":event-type", "")
        read = self._read(name, told)
        return msgspec.structs.replace(read, raw=event.payload, event=name)

    def _read(self, name: str, told: Json) -> Piece:
        if name == "contentBlockDelta":
            return self._delta(count(told.get("contentBlockIndex")), table(told.get("delta")))
        if name == "contentBlockStart":
            use = table(table(told.get("start")).get("toolUse"))
            if use and use.get("type") != "server_tool_use":
                place = self._tools.setdefault(count(told.get("contentBlockIndex")), len(self._tools))
                return Piece(tool_calls=(_call(place, use, ""),))
        if name == "contentBlockStop":
            # They may come in parts, and mean nothing until they are whole.
            signature, hidden = (marked(CLAUDE, "".join(parts)) for parts in self._seals.values())
            self._seals = {seal: [] for seal in self._seals}
            return Piece(signature=signature, redacted=hidden)
        if name == "messageStop":
            self._ended = True
            finish, refusal = _why(told.get("stopReason"))
            return Piece(finish=finish or "stop", refusal=refusal)
        if name == "metadata":
            return Piece(usage=usage_of(told))
        return Piece()

    def _delta(self, block: int, delta: Json) -> Piece:
        reasoning = table(delta.get("reasoningContent"))
        for name, parts in self._seals.items():
            parts.append(text(reasoning.get(name)))
        calls: tuple[ToolCall, ...] = ()
        if delta.get("toolUse") and block in self._tools:
            arguments = text(table(delta.get("toolUse")).get("input"))
            calls = (ToolCall(index=self._tools[block], arguments=arguments),)
        return Piece(
            text=text(delta.get("text")),
            reasoning=text(reasoning.get("text")),
            tool_calls=calls,
        )


def _thought(reasoning: Json) -> Thinking | None:
    """Return a block as what was thought; None where it is something else, or nothing."""
    said = table(reasoning.get("reasoningText"))
    if said:
        found = Thinking(text=text(said.get("text")), signature=marked(CLAUDE, text(said.get("signature"))))
        return found if found.text or found.signature else None
    hidden = marked(CLAUDE, text(reasoning.get("redactedContent")))
    return Thinking(redacted=hidden) if hidden else None


def _call(place: int, use: Json, arguments: str) -> ToolCall:
    return ToolCall(index=place, id=text(use.get("toolUseId")), name=text(use.get("name")), arguments=arguments)


def _cited(block: Json) -> str:
    """Return the text of a block that tells its sources too."""
    content = rows(table(block.get("citationsContent")).get("content"))
    return "".join(text(table(row).get("text")) for row in content)


def _why(reason: object) -> tuple[str, str]:
    """Return why the answer ended, and what is to be told of it."""
    said = text(reason)
    return ("stop", _FAILED[said]) if said in _FAILED else (_FINISH.get(said, "stop") if said else "", "")


def usage_of(told: Json) -> Usage | None:
    """Return the usage of a whole answer or of a stream's last event; None when it is absent or says nothing."""
    tier = table(told.get("serviceTier")).get("type")
    return usage_by(wires.bedrock, _as_far, told.get("usage"), tier=tier)


def _as_far(usage: Json) -> Usage:
    """Return as much as can be read of a usage that contradicts itself."""
    read, written = count(usage.get("cacheReadInputTokens")), count(usage.get("cacheWriteInputTokens"))
    return Usage.of(
        input_tokens=count(usage.get("inputTokens")) + read + written,
        output_tokens=count(usage.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
