"""An answer of Cohere's chat (v2), whole or as a stream of events → Pieces."""

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
from gimbal.generative.gateway.wire.sse import DONE, EventParser, ServerEvent
from gimbal.generative.gateway.wire.streaming import StreamReader

_FINISH = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
_FAILED = frozenset({"ERROR", "TIMEOUT"})
_DONE = DONE.removeprefix(b"data: ").strip()


class Reader(StreamReader[ServerEvent]):
    """Reads one answer."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider, EventParser())

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        if "message" not in raw or not isinstance(raw["message"], dict):
            # Their errors are a `message` that is a text.
            if raw.get("message"):
                raise failed(self._provider, raw["message"], streamed=False)
            raise garbage(self._provider, body)
        message = table(raw["message"])
        blocks = [table(row) for row in rows(message.get("content"))]
        finish = text(raw.get("finish_reason"))
        if finish in _FAILED:
            raise failed(self._provider, raw.get("error") or finish, streamed=False)
        parts: list[AnswerPart] = []
        if plan := text(message.get("tool_plan")):
            parts.append(Thinking(text=plan))
        for block in blocks:
            if thought := text(block.get("thinking")):
                parts.append(Thinking(text=thought))
            if said := text(block.get("text")):
                parts.append(Text(text=said))
        if said := text(message.get("content")):
            parts.append(Text(text=said))
        parts += [_call(place, table(row)) for place, row in enumerate(rows(message.get("tool_calls")))]
        return Piece(
            **answer_of(parts),
            finish=_FINISH.get(finish, "stop"),
            usage=usage_of(raw.get("usage")),
            id=text(raw.get("id")),
            raw=body,
        )

    def _piece(self, event: ServerEvent) -> Piece:
        if event.data == _DONE:
            return Piece(raw=event.data, event=event.name)
        told = decode_table(self._provider, event.data, streamed=True)
        kind = text(told.get("type")) or event.name
        delta = table(told.get("delta"))
        message = table(delta.get("message"))
        found: Json = {}
        if kind == "message-start":
            found["id"] = text(told.get("id"))
        elif kind in {"content-start", "content-delta"}:
            content = table(message.get("content"))
            found = {"text": text(content.get("text")), "reasoning": text(content.get("thinking"))}
        elif kind == "tool-plan-delta":
            found["reasoning"] = text(message.get("tool_plan"))
        elif kind in {"tool-call-start", "tool-call-delta"}:
            found["tool_calls"] = (_call(count(told.get("index")), table(message.get("tool_calls"))),)
        elif kind == "message-end":
            found = self._last(delta)
        elif kind == "error" or (not kind and told.get("message")):
            raise failed(self._provider, told.get("message") or told.get("error"), streamed=True)
        return Piece(raw=event.data, event=event.name, **found)

    def _last(self, delta: Json) -> Json:
        finish = text(delta.get("finish_reason"))
        if finish in _FAILED or delta.get("error"):
            raise failed(self._provider, delta.get("error") or finish, streamed=True)
        self._ended = True
        return {"finish": _FINISH.get(finish, "stop"), "usage": usage_of(delta.get("usage"))}


def _call(place: int, call: Json) -> ToolCall:
    function = table(call.get("function"))
    return ToolCall(
        index=place,
        id=text(call.get("id")),
        name=text(function.get("name")),
        arguments=text(function.get("arguments")),
    )


def usage_of(value: object) -> Usage | None:
    """Return Cohere's usage; None when it is absent or says nothing."""
    return usage_by(wires.cohere, _as_far, value)


def _as_far(usage: Json) -> Usage:
    """Return as much as can be read of a usage that contradicts itself."""
    told = table(usage.get("billed_units")) or table(usage.get("tokens"))
    return Usage(input=count(told.get("input_tokens")), output=count(told.get("output_tokens")))
