"""Pieces → chunks of chat completions, or the whole answer.

Chunks of a provider of this wire go on as their bytes. The caller's wish for usage is kept whatever the provider sent:
with `include_usage` it stands in one last chunk without choices, else in none.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gimbal.generative.gateway.conversation import Done, Json, Piece, Text, Thinking, ToolCall
from gimbal.generative.gateway.wire.openai_chat import places
from gimbal.generative.gateway.wire.openai_chat.encode import detail
from gimbal.generative.gateway.wire.openai_chat.errors import error_body
from gimbal.generative.gateway.wire.openai_chat.usage import write_chat_usage
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.gateway.wire.sse import DONE, line, passed
from gimbal.kernel.errors import GimbalError

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode
_USAGE = b'"usage"'
_EMPTY = (b',"usage":null', b', "usage": null')
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")


class ChatWriter:
    """Writes one answer."""

    def __init__(self, asked: Asked, *, answer_id: str, model: str, created: int, fingerprint: str = "") -> None:
        self._wants_usage = asked.wants_usage
        self._old = "functions" in asked.fields and "tools" not in asked.fields
        """Whether the caller speaks of functions, as before there were tools."""
        self._head: Json = {
            "id": answer_id if answer_id.startswith("chatcmpl-") else f"chatcmpl-{answer_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        if fingerprint:
            self._head["system_fingerprint"] = fingerprint
        self._said: Any = None
        """Usage as a provider of this wire told it."""
        self._last = b""
        """The event that it stood in alone."""
        self._first = True
        self._thought = ""
        """What is thought and not signed yet."""
        self._place = places.FIRST
        """Where it began."""
        self._length = 0
        """Characters of the content so far."""
        self._count = 0
        """Calls so far."""
        self._turned = 0
        """Calls before the last text that came after one."""
        self._late: list[Json] = []
        """What is told of such texts once there are thoughts: an answer without them has no order to keep."""
        self._thoughtful = False
        """Whether anything was thought."""
        self._detailed = False
        """Whether thoughts were told in detail: then all are."""
        self._finished = False

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        message: Json = {
            "role": "assistant",
            "content": done.text if done.text or not (done.tool_calls or done.refusal) else None,
            "refusal": done.refusal or None,
        }
        if done.tool_calls:
            message |= self._calls(done.tool_calls)
        if done.reasoning:
            message["reasoning_content"] = done.reasoning
        if done.parts or any(part.signature or part.redacted for part in done.thinking):
            message["reasoning_details"] = list(_details(done))
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish(done.finish)}
        body = self._head | {"object": "chat.completion", "model": done.model or self._head["model"]}
        body |= {"choices": [choice], "usage": write_chat_usage(done.usage)}
        if done.fingerprint:
            body["system_fingerprint"] = done.fingerprint
        return msgspec.json.encode(body | _estimate(estimated=done.estimated))

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the events for a piece, which may be none."""
        if same:
            raw = piece.raw
            if piece.usage is None and (self._wants_usage or _USAGE not in raw):
                return passed(raw)
            return self._without_usage(raw, told=piece.usage is not None)
        delta = self._delta(piece)
        if not delta and not piece.finish:
            return b""
        if self._first:
            delta = {"role": "assistant"} | ({} if "content" in delta or piece.tool_calls else {"content": ""}) | delta
            self._first = False
        finish = self._finish(piece.finish) if piece.finish else None
        self._finished = self._finished or finish is not None
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def _without_usage(self, raw: bytes, *, told: bool) -> bytes:
        """Return a provider's chunk as the caller gets it; usage is kept for the last one."""
        if not told:
            for empty in _EMPTY:
                # A quote within a string is escaped: what looks like this field is one.
                raw = raw.replace(empty, b"")
                if _USAGE not in raw:
                    return passed(raw)
        try:
            fields: dict[str, Any] = dict(_decode(raw))
        except ValueError:
            # A key that is no text; whatever it is, the provider said it to the caller.
            return passed(raw)
        usage = fields.pop("usage", None)
        if told and usage is not None:
            self._said = usage
            self._head |= {name: fields[name] for name in _HEAD if name in fields}
            if not _any(fields.get("choices", msgspec.Raw(b"null"))):
                self._last = passed(raw)
                return b""
            self._last = b""
        return line(fields | {"usage": None} if self._wants_usage else fields)

    def _delta(self, piece: Piece) -> Json:
        delta: Json = {}
        if piece.reasoning or piece.signature or piece.redacted or piece.thoughts:
            delta |= self._thoughts(piece)
        if piece.text:
            delta["content"] = piece.text
            if self._count > self._turned and (told := self._said_after_calls()):
                delta["reasoning_details"] = [*delta.get("reasoning_details", ()), *told]
            self._length += len(piece.text)
        if piece.finish and (self._detailed or self._place != places.FIRST) and (told := self._unsigned()):
            delta["reasoning_details"] = [*delta.get("reasoning_details", ()), *told]
        if piece.refusal:
            delta["refusal"] = piece.refusal
        if piece.tool_calls:
            delta |= self._parts(piece.tool_calls)
        return delta

    def _thoughts(self, piece: Piece) -> Json:
        delta: Json = {"reasoning_content": piece.reasoning} if piece.reasoning else {}
        here = places.Place(self._length, self._count)
        details: list[Json] = []
        for part in piece.thinking:
            if part.redacted or self._place != here:
                details += self._unsigned()
            if not self._thought:
                self._place = here
            self._thought += part.text
            # Each thought once and whole, so that a caller hands back what came without putting it together.
            if part.redacted:
                details.append(detail(part) | places.said(here))
            elif part.signature:
                whole = Thinking(text=self._thought, signature=part.signature)
                details.append(detail(whole) | places.said(self._place))
                self._thought = ""
        self._thoughtful = True
        if details:
            details, self._late = [*self._late, *details], []
            self._detailed = True
        return delta | {"reasoning_details": details} if details else delta

    def _unsigned(self) -> list[Json]:
        """Return the thought that has ended without a signature."""
        if not self._thought:
            return []
        told = [*self._late, detail(Thinking(text=self._thought)) | places.said(self._place)]
        self._thought, self._late = "", []
        return told

    def _said_after_calls(self) -> list[Json]:
        """Return what tells that text comes after calls, where it is told; else it waits for a thought."""
        self._turned = self._count
        told = places.empty(places.Place(self._length, self._count))
        if self._thoughtful:
            thought = self._unsigned()
            self._detailed = True
            return [*thought, told]
        self._late.append(told)
        return []

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return what ends the stream."""
        tail = b""
        if not same and not self._finished:
            tail = self._chunk(
                [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._finish(done.finish)}]
            )
        if self._wants_usage and self._last and not done.estimated:
            tail += self._last
        elif self._wants_usage:
            said = None if done.estimated else self._said
            usage = write_chat_usage(done.usage) if said is None else said
            tail += line(self._head | {"choices": [], "usage": usage} | _estimate(estimated=done.estimated))
        return tail + DONE

    def error(self, problem: GimbalError) -> bytes:
        """Return the event that tells of a stream that broke off; `[DONE]` never follows it."""
        return line({"error": error_body(problem)})

    def _chunk(self, choices: list[Json]) -> bytes:
        chunk = self._head | {"choices": choices}
        return line(chunk | {"usage": None} if self._wants_usage else chunk)

    def _finish(self, finish: str) -> str:
        return "function_call" if self._old and finish == "tool_calls" else finish or "stop"

    def _calls(self, calls: Sequence[ToolCall]) -> Json:
        if self._old:
            return {"function_call": {"name": calls[0].name, "arguments": calls[0].arguments}}
        return {"tool_calls": [_call(call) for call in calls]}

    def _parts(self, calls: Sequence[ToolCall]) -> Json:
        if self._old:
            first = next((call for call in calls if call.index == 0), None)
            return {"function_call": _part(first)} if first else {}
        self._count = max(self._count, calls[-1].index + 1)
        return {"tool_calls": [{"index": call.index} | _opened(call) for call in calls]}


def _details(done: Done) -> Iterator[Json]:
    """Yield all thoughts in detail, with where they stand."""
    length, calls, turned = 0, 0, 0
    for part in done.order:
        if isinstance(part, Thinking):
            yield detail(part) | places.said(places.Place(length, calls))
        elif isinstance(part, ToolCall):
            calls += 1
        elif isinstance(part, Text):
            if calls > turned:
                yield places.empty(places.Place(length, calls))
                turned = calls
            length += len(part.text)


def _call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _part(call: ToolCall) -> Json:
    return ({"name": call.name} if call.name else {}) | {"arguments": call.arguments}


def _opened(call: ToolCall) -> Json:
    begun = {"id": call.id, "type": "function"} if call.id else {}
    return begun | {"function": _part(call)}


def _estimate(*, estimated: bool) -> Json:
    return {"usage_estimated": True} if estimated else {}
