"""Pieces → the typed events of responses, or the whole answer.

Events of a provider of this wire go on as their bytes. An answer of another wire becomes output items that open and close
in the order of OpenAI's own; calls of functions stay open until the end, because their parts may come interleaved.
"""

from typing import Any

import msgspec

from gimbal.generative.gateway.conversation import Done, Json, Piece, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of
from gimbal.generative.gateway.wire.openai_chat.errors import error_body
from gimbal.generative.gateway.wire.openai_chat.usage import write_responses_usage
from gimbal.generative.gateway.wire.openai_responses.items import SIGNATURE
from gimbal.generative.gateway.wire.openai_responses.output import Event, FunctionCall, Item, Message, Thought
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.gateway.wire.sse import named, passed
from gimbal.kernel.errors import GimbalError

_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that the answer repeats, and what they are where nothing was said."""
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
_CODES = {"rate_limit_exceeded": "rate_limit_exceeded"}


class ResponsesWriter:
    """Writes one answer."""

    def __init__(self, asked: Asked, *, answer_id: str, model: str, created: int) -> None:
        self._asked = asked
        known = answer_id.removeprefix("resp_")
        self._known = known
        self._head: Json = {"id": f"resp_{known}", "object": "response", "created_at": created, "model": model}
        self._next = 0
        """Sequence number of the next event."""
        self._items: list[Item] = []
        self._open: Item | None = None
        """The item that grows now; calls of functions are in `_calls`."""
        self._calls: dict[int, FunctionCall] = {}
        self._finish = ""
        self._begun = False

    def whole(self, done: Done) -> bytes:
        """Return the body of an answer that was not streamed."""
        if not done.parts:
            self._grow(
                Piece(
                    text=done.text,
                    reasoning=done.reasoning,
                    signature=done.signature,
                    redacted=done.redacted,
                    thoughts=done.thoughts,
                    refusal=done.refusal,
                    tool_calls=done.tool_calls,
                )
            )
        for part in done.parts:
            if isinstance(part, Thinking):
                # Each is an item of its own, whether it is signed or not.
                self._closed()
            self._grow(Piece(**answer_of((part,))))
        self._finish = done.finish
        self._close_all()
        return msgspec.json.encode(self._ended(done))

    def piece(self, piece: Piece, *, same: bool) -> bytes:
        """Return the events for a piece, which may be none."""
        if same:
            self._next += 1
            return passed(piece.raw, piece.event)
        return self._begin() + self._written(self._grow(piece))

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        answer = self._response("in_progress")
        return self._written(
            [("response.created", {"response": answer}), ("response.in_progress", {"response": answer})]
        )

    def _written(self, events: list[Event]) -> bytes:
        found: list[bytes] = []
        for kind, fields in events:
            found.append(named(kind, {"type": kind, "sequence_number": self._next} | fields))
            self._next += 1
        return b"".join(found)

    def _grow(self, piece: Piece) -> list[Event]:
        events: list[Event] = []
        for part in piece.thinking:
            if part.text:
                thought, opened = self._opened(Thought)
                events += [*opened, *thought.grown(part.text)]
            if part.signature:
                thought = self._open if isinstance(self._open, Thought) else None
                events += self._sealed(part.signature if thought else f"{SIGNATURE}{part.signature}", thought)
            if part.redacted:
                events += self._sealed(part.redacted, None)
        for kind, said in (("output_text", piece.text), ("refusal", piece.refusal)):
            if said:
                message, opened = self._opened(Message)
                events += [*opened, *message.grown(kind, said)]
        for call in piece.tool_calls:
            events += self._called(call)
        self._finish = piece.finish or self._finish
        return events

    def _new(self, kind: type[Any], prefix: str) -> Any:
        item = kind(f"{prefix}_{self._known}{len(self._items):02x}", len(self._items))
        self._items.append(item)
        return item

    def _opened(self, kind: type[Any]) -> tuple[Any, list[Event]]:
        """Return the item of this kind that grows now, and the events where it only begins."""
        if isinstance(self._open, kind):
            return self._open, []
        events = self._closed()
        item = self._new(kind, "msg" if kind is Message else "rs")
        self._open = item
        return item, [*events, *item.added()]

    def _sealed(self, cipher: str, thought: Thought | None) -> list[Event]:
        """Return the events for what signs the open thought, or for one that is hidden."""
        if thought is None:
            events = self._closed()
            hidden = self._new(Thought, "rs")
            hidden.sealed = cipher
            return [*events, *hidden.added(), *hidden.done("completed")]
        thought.sealed = cipher
        return self._closed()

    def _closed(self) -> list[Event]:
        item, self._open = self._open, None
        return item.done("completed") if item else []

    def _called(self, call: ToolCall) -> list[Event]:
        events: list[Event] = []
        item = self._calls.get(call.index)
        if item is None:
            events = self._closed()
            item = self._calls[call.index] = self._new(FunctionCall, "fc")
            item.call_id, item.name = call.id, call.name
            events += item.added()
        item.call_id, item.name = item.call_id or call.id, item.name or call.name
        return events + item.grown(call.arguments) if call.arguments else events

    def _close_all(self) -> list[Event]:
        status = "incomplete" if self._finish in _REASONS else "completed"
        events = self._open.done(status) if self._open else []
        self._open = None
        for item in self._calls.values():
            events += item.done(status)
        return events

    def end(self, done: Done, *, same: bool) -> bytes:
        """Return what ends the stream."""
        if same:
            return b""
        self._finish = self._finish or done.finish
        head = self._begin() + self._written(self._close_all())
        answer = self._ended(done)
        return head + self._written([(f"response.{answer['status']}", {"response": answer})])

    def error(self, problem: GimbalError) -> bytes:
        """Return the events that tell of a stream that broke off."""
        said = error_body(problem)
        fields = {"code": said["code"], "message": said["message"], "param": said["param"]}
        events: list[Event] = [("error", fields)]
        if self._begun:
            code = _CODES.get(said["code"], "server_error")
            answer = self._response("failed") | {"error": {"code": code, "message": said["message"]}}
            events.append(("response.failed", {"response": answer}))
        return self._written(events)

    def _ended(self, done: Done) -> Json:
        reason = _REASONS.get(self._finish)
        answer = self._response("incomplete" if reason else "completed")
        answer |= {"model": done.model or self._head["model"], "usage": write_responses_usage(done.usage)}
        if reason:
            answer["incomplete_details"] = {"reason": reason}
        return answer | {"usage_estimated": True} if done.estimated else answer

    def _response(self, status: str) -> Json:
        """Return the answer as it is now, with what was asked for."""
        over = status != "in_progress"
        answer = self._head | {"status": status, "background": False, "error": None, "incomplete_details": None}
        for name, otherwise in _ECHOED.items():
            given = self._asked.fields.get(name)
            answer[name] = otherwise if given is None or bytes(given) == b"null" else given
        answer |= {"store": False, "usage": None}
        return answer | {"output": [item.now() for item in self._items] if over else []}
