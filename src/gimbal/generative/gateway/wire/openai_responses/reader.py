"""Answers of responses → Pieces. Usage is told in the last event only; most events carry nothing for another wire.

An event goes on as its bytes to a caller of this wire, whatever it is; only those with text, thoughts, tool calls or the
end in them are looked into.
"""

from collections.abc import Callable, Sequence

import msgspec

from gimbal.generative.gateway.conversation import AnswerPart, Json, Piece, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of
from gimbal.generative.gateway.wire.answers import cut_short, decode_table, each, failed, garbage, rows, table, text
from gimbal.generative.gateway.wire.openai_chat.usage import responses_usage
from gimbal.generative.gateway.wire.seals import marked
from gimbal.generative.gateway.wire.sse import EventParser, ServerEvent
from gimbal.kernel.errors import Upstream

_ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
_MOST_PLAIN = 65_536


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    output_index: int | None = None


_delta = msgspec.json.Decoder(_Delta)


class ResponsesReader:
    """Reads one answer."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._parser = EventParser()
        self._finished = False
        self._calls: dict[int, int] = {}
        """Which of the tool calls an output item is."""
        self._told: set[int] = set()
        """Output items of which something was told in parts."""
        self._begun = False
        self._plain = b""
        self._id = ""
        self._model = ""
        self._readers: dict[str, Callable[[Json], Piece]] = {
            "response.created": self._created,
            "response.output_item.added": self._added,
            "response.output_item.done": self._item,
            "response.reasoning_summary_part.added": self._next_part,
            **dict.fromkeys(_ENDS, self._end),
        }

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        if raw.get("error"):
            raise failed(self._provider, raw["error"], streamed=False)
        if not isinstance(raw.get("output"), list):
            raise garbage(self._provider, body)
        found = self._whole(raw, streamed=False)
        return msgspec.structs.replace(found, raw=body)

    def feed(self, chunk: bytes) -> Sequence[Piece]:
        """Return the pieces that these bytes complete."""
        if not self._begun and len(self._plain) < _MOST_PLAIN:
            self._plain += chunk
        return self._pieces(self._parser.feed(chunk))

    def _pieces(self, events: Sequence[ServerEvent]) -> list[Piece]:
        return each(self._piece, (event for event in events if event.data and event.data != b"[DONE]"))

    @property
    def done(self) -> bool:
        """Whether the last word has come."""
        return self._finished

    def end(self) -> Sequence[Piece]:
        """Return what was complete when the stream ended."""
        try:
            found = self._pieces(self._parser.end())
        except Upstream:
            if not self._finished:
                raise
            found = []
        if self._finished:
            return found
        if not self._begun and self._plain.lstrip().startswith(b"{"):
            self.whole(self._plain)
            raise garbage(self._provider, self._plain)
        raise cut_short(self._provider, found)

    def _piece(self, event: ServerEvent) -> Piece:
        data, kind = event.data, event.name
        self._begun = True
        head = self._head(data)
        kind = kind or head.type
        if kind.endswith(".delta"):
            return self._grown(kind, head, event)
        if kind == "error":
            said = decode_table(self._provider, data, streamed=True)
            raise failed(self._provider, said.get("error") or said, streamed=True)
        read = self._readers.get(kind)
        if read is None:
            return Piece(raw=data, event=event.name)
        found = read(decode_table(self._provider, data, streamed=True))
        return msgspec.structs.replace(found, raw=data, event=event.name, id=self._id, model=self._model)

    def _head(self, data: bytes) -> _Delta:
        try:
            if not data.isascii():
                # What is not decoded goes on unseen, and must not break the caller's reader.
                data.decode()
            return _delta.decode(data)
        except msgspec.ValidationError:
            return _Delta(type=text(decode_table(self._provider, data, streamed=True).get("type")))
        except (ValueError, RecursionError):
            raise garbage(self._provider, data, streamed=True) from None

    def _grown(self, kind: str, head: _Delta, event: ServerEvent) -> Piece:
        """Return the piece of one of the events that come for every few words."""
        said, place = head.delta or "", head.output_index or 0
        self._told.add(place)
        if kind == "response.output_text.delta":
            return Piece(text=said, raw=event.data, event=event.name)
        if kind in {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}:
            return Piece(reasoning=said, raw=event.data, event=event.name)
        if kind == "response.refusal.delta":
            return Piece(refusal=said, raw=event.data, event=event.name)
        if kind == "response.function_call_arguments.delta":
            call = ToolCall(index=self._index(place), arguments=said)
            return Piece(tool_calls=(call,), raw=event.data, event=event.name)
        return Piece(raw=event.data, event=event.name)

    def _index(self, place: int) -> int:
        return self._calls.setdefault(place, len(self._calls))

    def _created(self, raw: Json) -> Piece:
        answer = table(raw.get("response"))
        self._id, self._model = text(answer.get("id")), text(answer.get("model"))
        return Piece()

    def _next_part(self, raw: Json) -> Piece:
        return Piece(reasoning="\n\n" if raw.get("summary_index") else "")

    def _added(self, raw: Json) -> Piece:
        item = table(raw.get("item"))
        if item.get("type") != "function_call":
            return Piece()
        index = self._index(_place(raw))
        call = ToolCall(index=index, id=text(item.get("call_id")), name=text(item.get("name")))
        return Piece(tool_calls=(call,))

    def _item(self, raw: Json) -> Piece:
        """Return what an item that is done says, as far as it was not told in parts."""
        item, place = table(raw.get("item")), _place(raw)
        kind = item.get("type")
        told = place in self._told
        self._told.add(place)
        if kind == "reasoning":
            found = _thought(item)
            return msgspec.structs.replace(found, reasoning="") if told else found
        if told:
            return Piece()
        if kind == "function_call":
            known = place in self._calls
            call = _call(item, self._index(place))
            return Piece(tool_calls=(msgspec.structs.replace(call, id="", name="") if known else call,))
        return _message(item) if kind == "message" else Piece()

    def _end(self, raw: Json) -> Piece:
        answer = table(raw.get("response"))
        if answer.get("error") or raw.get("type") == "response.failed":
            raise failed(self._provider, answer.get("error"), streamed=True)
        self._finished = True
        whole = self._whole(answer, streamed=True)
        # Some servers tell of the items in the last event only.
        return Piece(finish=whole.finish, usage=whole.usage) if self._told else whole

    def _whole(self, raw: Json, *, streamed: bool) -> Piece:
        output = [table(row) for row in rows(raw.get("output"))]
        if (status := text(raw.get("status"))) in {"failed", "cancelled"}:
            raise failed(self._provider, raw.get("error") or f"it was {status}", streamed=streamed)
        parts: list[AnswerPart] = []
        calls = 0
        for item in output:
            kind = item.get("type")
            if kind == "function_call":
                parts.append(_call(item, calls))
                calls += 1
            elif kind in {"reasoning", "message"}:
                parts += (_thought(item) if kind == "reasoning" else _message(item)).order
        said = answer_of(parts)
        if "reasoning" in said:
            said["reasoning"] = "\n\n".join(part.text for part in parts if isinstance(part, Thinking) and part.text)
        self._id, self._model = text(raw.get("id")) or self._id, text(raw.get("model")) or self._model
        return Piece(
            **said,
            finish=_finish(raw, called=bool(calls)),
            usage=responses_usage(raw.get("usage"), raw.get("service_tier"), raw.get("output")),
            model=self._model,
            id=self._id,
        )


def _place(raw: Json) -> int:
    place = raw.get("output_index")
    return place if isinstance(place, int) else 0


def _finish(raw: Json, *, called: bool) -> str:
    status = text(raw.get("status"))
    if status in {"queued", "in_progress"}:
        return ""
    if status == "incomplete":
        reason = table(raw.get("incomplete_details")).get("reason")
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_calls" if called else "stop"


def _call(item: Json, index: int) -> ToolCall:
    return ToolCall(
        index=index, id=text(item.get("call_id")), name=text(item.get("name")), arguments=text(item.get("arguments"))
    )


def _message(item: Json) -> Piece:
    parts: list[Json] = [table(row) for row in rows(item.get("content"))]
    return Piece(
        text="".join(text(part.get("text")) for part in parts if part.get("type") == "output_text"),
        refusal="".join(text(part.get("refusal")) for part in parts if part.get("type") == "refusal"),
    )


def _thought(item: Json) -> Piece:
    """Return a thought; its cipher hides it where there is no text, else signs it, after the id that belongs to it."""
    full = "".join(text(table(row).get("text")) for row in rows(item.get("content")))
    said = full or "\n\n".join(text(table(row).get("text")) for row in rows(item.get("summary")))
    sealed = marked(text(item.get("id")), text(item.get("encrypted_content")))
    return Piece(reasoning=said, signature=sealed) if said else Piece(redacted=sealed)
