"""Answers of chat completions → Pieces. Only what is needed of an event is decoded; its bytes go along as they are.

Servers differ: `choices: null`, no index, usage in any chunk or beside the last choice, a finish without `[DONE]`, other
words for why an answer ended. What has another type than expected is read as far as it can be.
"""

import functools
from collections.abc import Sequence

import msgspec

from gimbal.generative.gateway.conversation import Json, Piece, Thinking, Thoughts, ToolCall
from gimbal.generative.gateway.wire.answers import BrokeOff, cut_short, decode_table, failed, garbage
from gimbal.generative.gateway.wire.openai_chat.answer import Answer, Call, Detail, Function, Said, as_far
from gimbal.generative.gateway.wire.openai_chat.encode import KEPT
from gimbal.generative.gateway.wire.openai_chat.usage import chat_usage
from gimbal.generative.gateway.wire.seals import CHAT, marked
from gimbal.generative.gateway.wire.sse import EventParser, ServerEvent
from gimbal.kernel.errors import Upstream
from gimbal.kernel.ids import new_id

_DONE = b"[DONE]"
_MOST_PLAIN = 65_536
_FINISHES = {
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "insufficient_system_resource": "length",
    "abort": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
    **{name: name for name in ("stop", "length", "tool_calls", "content_filter")},
}


_answer = msgspec.json.Decoder(Answer)
_SILENT = Said()
_EMPTY = Thinking()
_NOTHING = Function()


class _Known(msgspec.Struct):
    """What was told of a call so far."""

    index: int
    id: str = ""
    name: str = ""


class ChatReader:
    """Reads one answer."""

    # As they are at the beginning: a whole answer changes few of them.
    _finished = _done = False
    _plain = b""
    """The beginning of a body that is no stream."""
    _count = 0
    _thought = False
    """Whether thoughts were told in plain words: then details that tell them again are not counted."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._open: set[int] = set()
        """Choices that have begun and not ended."""
        self._calls: dict[int, _Known] = {}
        """The calls of tools that grow now, by the index that the server gives them."""

    @functools.cached_property
    def _parser(self) -> EventParser:
        """Of a stream."""
        return EventParser()

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        answer = self._decode(body, streamed=False)
        if answer.error:
            raise failed(self._provider, answer.error, streamed=False)
        if not answer.choices:
            raise Upstream(f"{self._provider} answered without a choice.", todo="Try again.")
        return self._piece(body, answer)

    def feed(self, chunk: bytes) -> Sequence[Piece]:
        """Return the pieces that these bytes complete."""
        if self._done:
            return ()
        if not self._open and not self._finished and len(self._plain) < _MOST_PLAIN:
            self._plain += chunk
        return self._pieces(self._parser.feed(chunk))

    def _pieces(self, events: Sequence[ServerEvent]) -> list[Piece]:
        found: list[Piece] = []
        try:
            for event in events:
                data = event.data
                if data == _DONE:
                    self._done = True
                    break
                if not data or data.isspace():
                    continue
                answer = self._decode(data, streamed=True)
                if answer.error or event.name == "error":
                    raise failed(self._provider, answer.error or decode_table(self._provider, data), streamed=True)
                found.append(self._piece(data, answer))
        except BrokeOff as problem:
            problem.pieces = found
            raise
        return found

    @property
    def done(self) -> bool:
        """Whether the last word has come."""
        return self._done

    def end(self) -> Sequence[Piece]:
        """Return what was complete when the stream ended."""
        if self._done:
            return ()
        try:
            found = self._pieces(self._parser.end())
        except Upstream:
            # Half an event is no answer, but what comes after the end of an answer is not missed.
            if not self._finished or self._open:
                raise
            found = []
        if self._done or (self._finished and not self._open):
            return found
        raise self._broken(found)

    def _broken(self, found: Sequence[Piece]) -> Upstream:
        if found or self._finished or self._open or not self._plain.lstrip().startswith(b"{"):
            return cut_short(self._provider, found)
        said = decode_table(self._provider, self._plain)
        if said.get("error"):
            return failed(self._provider, said["error"], streamed=False)
        return garbage(self._provider, self._plain)

    def _decode(self, data: bytes, *, streamed: bool) -> Answer:
        try:
            if not data.isascii():
                # What is not decoded goes on unseen, and must not break the caller's reader.
                data.decode()
            try:
                return _answer.decode(data)
            except msgspec.ValidationError:
                return as_far(decode_table(self._provider, data, streamed=streamed))
        except (ValueError, RecursionError):
            raise garbage(self._provider, data, streamed=streamed) from None

    def _piece(self, raw: bytes, answer: Answer) -> Piece:
        usage = None if answer.usage is None else chat_usage(answer.usage, answer.service_tier)
        first, aside = None, ""
        for choice in answer.choices or ():
            if choice.error:
                raise failed(self._provider, choice.error, streamed=choice.message is None)
            index = choice.index or 0
            if choice.finish_reason:
                self._finished = True
                self._open.discard(index)
            else:
                self._open.add(index)
            if index == 0 and first is None:
                first = choice
            else:
                aside += (choice.delta or choice.message or _SILENT).content or ""
        if first is None:
            return Piece(raw=raw, usage=usage, side_text=aside, model=answer.model or "", id=answer.id or "")
        said = first.delta or first.message or _SILENT
        finish = first.finish_reason
        reasoning = said.reasoning_content or said.reasoning or ""
        thoughts: Json = {"reasoning": reasoning}
        if said.reasoning_details:
            thoughts = _thoughts(said.reasoning_details, reasoning, told=self._thought)
        self._thought = self._thought or bool(reasoning)
        return Piece(
            text=said.content or "",
            **thoughts,
            refusal=said.refusal or "",
            tool_calls=self._tool_calls(said, whole=first.delta is None)
            if said.tool_calls or said.function_call
            else (),
            finish=_FINISHES.get(finish.lower(), "stop") if finish else "",
            usage=usage,
            model=answer.model or "",
            id=answer.id or "",
            side_text=aside,
            raw=raw,
        )

    def _tool_calls(self, said: Said, *, whole: bool) -> tuple[ToolCall, ...]:
        calls = said.tool_calls or ()
        if not calls and (old := said.function_call) is not None:
            calls = (Call(function=old),)
        return tuple(
            self._call(call, place if whole or call.index is None else call.index) for place, call in enumerate(calls)
        )

    def _call(self, call: Call, place: int) -> ToolCall:
        """Return a part of a call: its id and name once, however often the server says them.

        Some servers give every call the same index: one with another id is another call.
        """
        function = call.function or _NOTHING
        told = self._calls.get(place)
        if told is None or (call.id and told.id and call.id != told.id):
            told = self._calls[place] = _Known(index=self._count)
            self._count += 1
        name = "" if told.name else function.name or ""
        # The deprecated form has no ids, nor have the calls of some servers; whoever hands back an answer needs one.
        known = "" if told.id else call.id or (f"call_{new_id().replace('-', '')}" if name else "")
        told.id, told.name = told.id or known, told.name or name
        return ToolCall(index=told.index, id=known, name=name, arguments=function.arguments or "")


def _thoughts(details: list[Detail], reasoning: str, *, told: bool) -> Json:
    """Return what is thought in detail; where the text was told beside it, or is, it is not said twice."""
    parts: list[Thinking] = []
    for row in details:
        text = "" if told else row.text or row.summary or ""
        signature, hidden = (marked(CHAT, _kept(row, name)) for name in ("signature", "data"))
        found = Thinking(text=text, signature=signature, redacted=hidden)
        if found != _EMPTY:
            parts.append(found)
    if reasoning and not any(part.text for part in parts):
        parts.insert(0, Thinking(text=reasoning))
    thoughts = Thoughts()
    thoughts.take(Piece(thoughts=tuple(parts)))
    return thoughts.said() | ({"reasoning": reasoning} if reasoning else {})


def _kept(row: Detail, name: str) -> str:
    """Return a cipher, with what its maker knows the detail by."""
    cipher = getattr(row, name) or ""
    kept = {key: value for key in KEPT if (value := getattr(row, key)) is not None}
    return msgspec.json.encode(kept | {name: cipher}).decode() if cipher and kept else cipher
