"""An answer of Gemini's generateContent, whole or as a stream of such answers → Pieces.

Every answer of a stream has the usage up to there, so the last one counts. A stream may come as events, or as one JSON array.
"""

import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json, Piece, ToolCall
from gimbal.generative.gateway.wire.answers import (
    count,
    cut_short,
    decode_table,
    each,
    failed,
    garbage,
    rows,
    table,
    text,
    usage_by,
)
from gimbal.generative.gateway.wire.gemini.array import ArrayParser
from gimbal.generative.gateway.wire.gemini.parts import generation_of
from gimbal.generative.gateway.wire.seals import GEMINI, marked
from gimbal.generative.gateway.wire.sse import EventParser
from gimbal.kernel.ids import new_id

_encode = msgspec.json.Encoder().encode
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
# The model ended by itself, with nothing that could be used: other wires have no word for why.
_FAILED = {
    "MALFORMED_FUNCTION_CALL": "The model's call of a tool was malformed.",
    "UNEXPECTED_TOOL_CALL": "The model called a tool that it was not given.",
    "TOO_MANY_TOOL_CALLS": "The model called too many tools.",
    "MISSING_THOUGHT_SIGNATURE": "The signature of a thought is missing from the request.",
    "MALFORMED_RESPONSE": "The model's answer was malformed.",
    "LANGUAGE": "The model does not answer in this language.",
    "NO_IMAGE": "The model made no picture.",
}


class Reader:
    """Reads one answer."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._events: EventParser | ArrayParser | None = None
        self._calls = 0
        self._finish = ""
        self._searches = 0
        self._signed = False

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        if raw.get("error"):
            raise failed(self._provider, raw["error"], streamed=False)
        if not any(name in raw for name in ("candidates", "promptFeedback", "usageMetadata")):
            raise garbage(self._provider, body)
        piece = self._piece(raw, body)
        return piece if piece.finish else msgspec.structs.replace(piece, finish="stop")

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces of the answers that these bytes complete."""
        if self._events is None:
            if not chunk.strip():
                return []
            array = chunk.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
            self._events = ArrayParser() if array else EventParser()
        if isinstance(self._events, ArrayParser):
            return each(self._read, self._events.feed(chunk))
        return each(self._read, (event.data for event in self._events.feed(chunk)))

    @property
    def done(self) -> bool:
        """Return False: usage may come after the reason to finish, and nothing says that it was the last."""
        return False

    def end(self) -> list[Piece]:
        """Return what was complete when the stream ended; raise Upstream when it ended in the middle."""
        last = [self._read(event.data) for event in self._events.end()] if isinstance(self._events, EventParser) else []
        if not self._finish:
            raise cut_short(self._provider)
        return last

    def _read(self, raw: bytes) -> Piece:
        told = decode_table(self._provider, raw, streamed=True)
        if told.get("error"):
            raise failed(self._provider, told["error"], streamed=True)
        return self._piece(told, raw)

    def _piece(self, told: Json, raw: bytes) -> Piece:
        candidates = [table(row) for row in rows(told.get("candidates"))]
        first = next((row for row in candidates if not count(row.get("index"))), {})
        found = self._content(first)
        blocked = text(table(told.get("promptFeedback")).get("blockReason"))
        finish, refusal = self._why(first)
        if blocked and not candidates:
            said = text(table(told.get("promptFeedback")).get("blockReasonMessage"))
            finish, refusal = "content_filter", said or f"The prompt was blocked: {blocked}."
        self._finish = finish or self._finish
        model = text(told.get("modelVersion"))
        return Piece(
            text=found["text"],
            reasoning=found["reasoning"],
            signature=marked(GEMINI, self._signature(found["signature"])),
            refusal=refusal,
            tool_calls=tuple(found["calls"]),
            finish=finish,
            usage=self._usage(told, first, model),
            model=model,
            id=text(told.get("responseId")),
            side_text="".join(_texts(row) for row in candidates if row is not first),
            raw=raw,
        )

    def _content(self, candidate: Json) -> Json:
        said, thought, signature = list[str](), list[str](), ""
        calls: list[ToolCall] = []
        for row in rows(table(candidate.get("content")).get("parts")):
            part = table(row)
            signature = signature or text(part.get("thoughtSignature"))
            if part.get("thought"):
                thought.append(text(part.get("text")))
            elif part.get("text"):
                said.append(text(part.get("text")))
            call = table(part.get("functionCall"))
            if call:
                calls.append(
                    ToolCall(
                        index=self._calls,
                        # Some models give none; one that comes again would mix up the calls of a conversation.
                        id=text(call.get("id")) or f"call_{new_id().replace('-', '')}",
                        name=text(call.get("name")),
                        arguments=_encode(call.get("args") or {}).decode(),
                    )
                )
                self._calls += 1
        return {"text": "".join(said), "reasoning": "".join(thought), "signature": signature, "calls": calls}

    def _signature(self, given: str) -> str:
        """Return the first signature of an answer: a call of a tool has it, or where there is none the last text."""
        first, self._signed = not self._signed, self._signed or bool(given)
        return given if first else ""

    def _why(self, candidate: Json) -> tuple[str, str]:
        """Return why the answer ended, and what is to be told of it."""
        reason = text(candidate.get("finishReason"))
        if reason in {"", "FINISH_REASON_UNSPECIFIED"}:
            return "", ""
        if reason in _FAILED:
            return "stop", text(candidate.get("finishMessage")) or _FAILED[reason]
        finish = _FINISH.get(reason, "stop")
        return ("tool_calls" if self._calls and finish == "stop" else finish), ""

    def _usage(self, told: Json, candidate: Json, model: str) -> Usage | None:
        queries = len(rows(table(candidate.get("groundingMetadata")).get("webSearchQueries")))
        if queries:
            # Up to the second generation a grounded prompt is billed, however many searches it took.
            self._searches = max(self._searches, queries if generation_of(model) >= 3 else 1)
        return usage_by(wires.gemini, _as_far, told.get("usageMetadata"), searches=self._searches)


def _texts(candidate: Json) -> str:
    parts = rows(table(candidate.get("content")).get("parts"))
    return "".join(text(table(part).get("text")) for part in parts)


def _as_far(usage: Json) -> Usage:
    """Return as much as can be read of a usage that contradicts itself."""
    thought = count(usage.get("thoughtsTokenCount"))
    return Usage.of(
        input_tokens=count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount")),
        output_tokens=count(usage.get("candidatesTokenCount")) + thought,
        cache_read_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thought,
    )
