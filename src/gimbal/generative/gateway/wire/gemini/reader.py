"""An answer of Gemini's generateContent, whole or as a stream of such answers → Pieces.

Every answer of a stream has the usage up to there, so the last one counts. A stream may come as events, or as one JSON array.
"""

from collections.abc import Iterable

import msgspec

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import AnswerPart, Json, Piece, Text, Thinking, ToolCall
from gimbal.generative.gateway.order import answer_of, runs
from gimbal.generative.gateway.wire.answers import (
    BrokeOff,
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
from gimbal.generative.gateway.wire.gemini.array import ArrayParser
from gimbal.generative.gateway.wire.gemini.parts import generation_of, paired
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

    def whole(self, body: bytes) -> Piece:
        """Return the answer that was not streamed."""
        raw = decode_table(self._provider, body)
        if raw.get("error"):
            raise failed(self._provider, raw["error"], streamed=False)
        if not any(name in raw for name in ("candidates", "promptFeedback", "usageMetadata")):
            raise garbage(self._provider, body)
        candidates = [table(row) for row in rows(raw.get("candidates"))]
        first = _first(candidates)
        said = self._plain(first)
        if said is None:
            said = answer_of(paired(self._parts(first)))
        said |= self._rest(raw, candidates, first)
        said["finish"] = said["finish"] or "stop"
        return Piece(**said, raw=body)

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces of the answers that these bytes complete."""
        if self._events is None:
            if not chunk.strip():
                return []
            array = chunk.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
            self._events = ArrayParser() if array else EventParser()
        if isinstance(self._events, ArrayParser):
            return self._pieces(self._events.feed(chunk))
        return self._pieces(event.data for event in self._events.feed(chunk))

    @property
    def done(self) -> bool:
        """Return False: usage may come after the reason to finish, and nothing says that it was the last."""
        return False

    def end(self) -> list[Piece]:
        """Return what was complete when the stream ended; raise Upstream when it ended in the middle."""
        rows = self._events.end() if isinstance(self._events, EventParser) else ()
        last = self._pieces(event.data for event in rows)
        if not self._finish:
            raise cut_short(self._provider)
        return last

    def _pieces(self, answers: Iterable[bytes]) -> list[Piece]:
        """Return the pieces of answers; where one breaks off, its error carries the pieces before it."""
        pieces: list[Piece] = []
        try:
            for raw in answers:
                pieces += self._read(raw)
        except BrokeOff as problem:
            problem.pieces = pieces
            raise
        return pieces

    def _read(self, raw: bytes) -> list[Piece]:
        """Return the pieces of one answer of a stream: one, but where thoughts stand between what is said and called."""
        told = decode_table(self._provider, raw, streamed=True)
        if told.get("error"):
            raise failed(self._provider, told["error"], streamed=True)
        candidates = [table(row) for row in rows(told.get("candidates"))]
        first = _first(candidates)
        plain = self._plain(first)
        said = [answer_of(run, whole=False) for run in runs(paired(self._parts(first)))] if plain is None else [plain]
        # The bytes go on once, and the end comes last.
        said[0]["raw"] = raw
        said[-1] |= self._rest(told, candidates, first)
        return [Piece(**fields) for fields in said]

    def _plain(self, candidate: Json) -> Json | None:
        """Return what a candidate says; None where some of it is thought."""
        given = [table(row) for row in rows(table(candidate.get("content")).get("parts"))]
        said = ""
        for part in given:
            if "thought" in part or "thoughtSignature" in part:
                return None
            said += text(part.get("text"))
        return {"text": said, "tool_calls": tuple([self._call(call) for part in given if (call := _call_of(part))])}

    def _rest(self, told: Json, candidates: list[Json], first: Json) -> Json:
        """Return what an answer says beside its parts."""
        blocked = text(table(told.get("promptFeedback")).get("blockReason"))
        finish, refusal = self._why(first)
        if blocked and not candidates:
            said = text(table(told.get("promptFeedback")).get("blockReasonMessage"))
            finish, refusal = "content_filter", said or f"The prompt was blocked: {blocked}."
        self._finish = finish or self._finish
        model = text(told.get("modelVersion"))
        return {
            "refusal": refusal,
            "finish": finish,
            "usage": self._usage(told, first, model),
            "model": model,
            "id": text(told.get("responseId")),
            "side_text": "".join(_texts(row) for row in candidates if row is not first),
        }

    def _parts(self, candidate: Json) -> list[AnswerPart]:
        """Return what the parts of a candidate say, in order; a signature is a thought before the part that it stands on."""
        found: list[AnswerPart] = []
        for row in rows(table(candidate.get("content")).get("parts")):
            part = table(row)
            said, seal = text(part.get("text")), marked(GEMINI, text(part.get("thoughtSignature")))
            if part.get("thought"):
                if said or seal:
                    found.append(Thinking(text=said, signature=seal))
                continue
            if seal:
                found.append(Thinking(signature=seal))
            if said:
                found.append(Text(text=said))
            if call := _call_of(part):
                found.append(self._call(call))
        return found

    def _call(self, call: Json) -> ToolCall:
        place, self._calls = self._calls, self._calls + 1
        return ToolCall(
            index=place,
            # Some models give none; one that comes again would mix up the calls of a conversation.
            id=text(call.get("id")) or f"call_{new_id().replace('-', '')}",
            name=text(call.get("name")),
            arguments=_encode(call.get("args") or {}).decode(),
        )

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


def _first(candidates: list[Json]) -> Json:
    """Return the first candidate, wherever it stands."""
    return next((row for row in candidates if not count(row.get("index"))), {})


def _call_of(part: Json) -> Json:
    return table(part.get("functionCall"))


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
