"""A session as one conversation: of each trace only what is new in it.

Applications send the whole history again with every call. What was said up to the last answer in the input of a turn's
first call is that history; what follows it is new, be it the same words as before. Of the further calls of a turn is new
what the turn has not said yet. So a turn needs nothing of the turns before it, and a page of them reads itself alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces import messages, payloads, sessions
from gimbal.axis.traces.finding_model import Conversation, Said, Turn
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.measures import LIMITED
from gimbal.axis.traces.model import Document, TraceSummary
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.pages import Page

# Of a page of turns, so that one endless agent does not fill the memory; what is left out is said.
_MOST_SPANS, _MOST_DOCUMENTS, _LONGEST_BLOB = 2_000, 50, 4 << 20
_MOST_BYTES = 32 << 20
_NEAR_US = 86_400_000_000
_SPANS = (
    "SELECT trace_id, span_id, parent_id, name, kind, status, status_message, billable, input, output, documents FROM ("
    "SELECT trace_id, span_id, parent_id, name, kind, status, status_message, billable, input, output, documents, start_us, "
    "weight, is_root, sum(length(input) + length(output) + length(documents)) OVER (ORDER BY start_us, trace_id, span_id "
    "ROWS UNBOUNDED PRECEDING) AS bytes FROM (SELECT * FROM spans WHERE project = {project:String} "
    "AND trace_id IN {ids:Array(String)} AND start_us BETWEEN {low:Int64} AND {high:Int64} "
    "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) "
    "WHERE weight > 0 AND (kind IN ('llm', 'tool', 'retriever') OR is_root = 1 OR status = 'error')) "
    "WHERE bytes <= {bytes:UInt64} ORDER BY start_us, trace_id, span_id LIMIT {most:UInt32}" + LIMITED
)
_documents = msgspec.json.Decoder(list[Document])
_json = msgspec.json.Encoder(order="deterministic")
Message = dict[str, Any]


async def read(ctx: Context, session: str, *, cursor: str | None = None, limit: int = 20) -> Conversation:
    """Return a session and a page of its turns. Raise NotFound, BadInput."""
    found = await sessions.show(ctx, session)
    page = await sessions.turns(ctx, session, cursor=cursor, limit=limit)
    ids = [one.trace_id for one in page.items]
    spans = await _spans(ctx, page.items)
    judged = await ctx.get(Judgements).of_many(ctx, "trace", ids) if ids and ctx.services.has(Judgements) else {}
    turns: list[Turn] = []
    told: set[str] = set()
    for place, trace in enumerate(page.items):
        opening = place == 0 and cursor is None
        said = list(_turn(spans.get(trace.trace_id, []), told, opening=opening))
        turns.append(Turn(trace=trace, said=said, scores=list(judged.get(trace.trace_id, ()))))
    return Conversation(session=found, turns=Page(items=turns, next=page.next, total=found.traces))


class _Row(NamedTuple):
    span_id: str
    parent_id: str
    name: str
    kind: str
    failed: bool
    status_message: str
    billable: bool
    taken: str
    given: str
    documents: str


async def _spans(ctx: Context, traces: Sequence[TraceSummary]) -> dict[str, list[_Row]]:
    """Return by trace the spans that say something, in the order in which they began."""
    if not traces:
        return {}
    rows = await ctx.get(Columns).query(
        _SPANS,
        {
            "project": ctx.project or "default",
            "ids": [one.trace_id for one in traces],
            "low": to_us(traces[0].start) - _NEAR_US,
            "high": to_us(traces[-1].start) + _NEAR_US,
            "bytes": _MOST_BYTES,
            "most": _MOST_SPANS,
        },
    )
    found: dict[str, list[_Row]] = {}
    for row in rows:
        trace_id = row["trace_id"]
        of_model = row["kind"] == "llm"
        found.setdefault(trace_id, []).append(
            _Row(
                row["span_id"],
                row["parent_id"],
                row["name"],
                row["kind"],
                row["status"] == "error",
                row["status_message"],
                bool(row["billable"]),
                await _whole(ctx, trace_id, row["input"]) if of_model else row["input"],
                await _whole(ctx, trace_id, row["output"]) if of_model else row["output"],
                row["documents"],
            )
        )
    return found


async def _whole(ctx: Context, trace_id: str, text: str) -> str:
    """Return a value that was too long for its column from the blobs, up to a length."""
    if not text.startswith('{"blob":'):
        return text
    moved = _decoded(text)
    digest, size = (moved.get("blob"), moved.get("size")) if isinstance(moved, dict) else (None, None)
    if not isinstance(digest, str) or not isinstance(size, int) or size > _LONGEST_BLOB:
        return text
    try:
        held = await payloads.payload(ctx, trace_id, digest)
        return b"".join([chunk async for chunk in held.chunks]).decode(errors="replace")
    except NotFound:
        # Whoever merely writes a digest into a span gets nothing for it.
        return text


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return text


def _messages(text: str, role: str) -> list[Message]:
    """Return the messages in what went into or came out of a call; what is none is one of `role`."""
    value = messages.said(_decoded(text), role)
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, list) and all(isinstance(row, dict) and isinstance(row.get("role"), str) for row in value):
        return value
    return [{"role": role, "content": value if isinstance(value, str) else _json.encode(value).decode()}]


def _turn(spans: Sequence[_Row], told: set[str], *, opening: bool) -> Iterator[Said]:
    """Yield what a trace added; `told` has the instructions that the turns before it began with."""
    seen: Counter[bytes] = Counter()
    answers: set[bytes] = set()
    names: set[str] = set()
    first = True
    calls = [row for row in spans if row.kind == "llm" and (row.taken or row.given)]
    # A wrapper and the call in it say the same; where only the wrapper has words, it is read.
    calls = [row for row in calls if row.billable] or calls
    wanted = {row.span_id for row in calls}
    if not calls:
        yield from _bare(spans)
    errors: set[str] = set()
    for row in spans:
        if row.span_id in wanted:
            taken = _messages(row.taken, "user")
            unseen = list(_unseen(taken, seen))
            new = list(_since_the_last_answer(taken, told, opening=opening)) if first else unseen
            first = False
            for message in [*new, *_answered(_messages(row.given, "assistant"), seen, answers)]:
                names.update(_called(message))
                yield Said(kind="message", span_id=row.span_id, name=row.name, message=message)
        elif row.kind == "tool" and row.name not in names:
            yield Said(kind="tool", span_id=row.span_id, name=row.name, input=row.taken, output=row.given)
        documents = _documents_of(row)
        if documents:
            yield Said(kind="documents", span_id=row.span_id, name=row.name, documents=documents)
        why = row.status_message or "It failed and did not say why."
        if row.failed and why not in errors:
            errors.add(why)
            yield Said(kind="error", span_id=row.span_id, name=row.name, error=why)


def _bare(spans: Sequence[_Row]) -> Iterator[Said]:
    """Yield what a trace without model calls took and gave."""
    head = next((row for row in spans if not row.parent_id), None)
    if head is not None and head.kind not in {"tool", "retriever"}:
        for text, role in ((head.taken, "user"), (head.given, "assistant")):
            for message in _messages(text, role)[-1:]:
                yield Said(kind="message", span_id=head.span_id, name=head.name, message=message)


def _since_the_last_answer(taken: Sequence[Message], told: set[str], *, opening: bool) -> Iterator[Message]:
    """Yield what is new in the input of a turn's first call."""
    answers = [place for place, message in enumerate(taken) if message["role"] == "assistant"]
    last = answers[-1] if answers and not opening else -1
    for place, message in enumerate(taken):
        if message["role"] in {"system", "developer"}:
            # Instructions are told where they change.
            own = _print(message).hex()
            if own not in told:
                told.add(own)
                yield message
        elif place > last:
            yield message


def _unseen(found: Sequence[Message], seen: Counter[bytes]) -> Iterator[Message]:
    """Yield what the turn has not said yet, and note it."""
    here: Counter[bytes] = Counter()
    for message in found:
        own = _print(message)
        here[own] += 1
        if here[own] > seen[own]:
            seen[own] += 1
            yield message


def _answered(given: Sequence[Message], seen: Counter[bytes], answers: set[bytes]) -> Iterator[Message]:
    """Yield what a call answered, unless another of the turn answered the same; its words may be as old as they like."""
    for message in given:
        own = _print(message)
        if own not in answers:
            answers.add(own)
            seen[own] += 1
            yield message


def _print(message: Message) -> bytes:
    """Return what tells a message from another: an answer comes back in the next history in a form of its own."""
    content = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [content]
    texts = [
        str(part.get("text") or "") if isinstance(part, dict) else part if isinstance(part, str) else ""
        for part in parts
        if not (isinstance(part, dict) and part.get("type") == "reasoning")
    ]
    media = [
        str(part.get("type"))
        for part in parts
        if isinstance(part, dict) and part.get("type") not in {"text", "reasoning", "refusal"}
    ]
    role = "system" if message["role"] == "developer" else message["role"]
    words = " ".join(" ".join(texts).split())
    made = message.get("tool_calls")
    calls = [_call(one) for one in made if isinstance(one, dict)] if isinstance(made, list) else []
    return _json.encode([role, words, media, calls])


def _call(made: Message) -> list[Any]:
    inner = made.get("function")
    function: Message = inner if isinstance(inner, dict) else made
    arguments = function.get("arguments")
    return [function.get("name"), _decoded(arguments) if isinstance(arguments, str) else arguments]


def _called(message: Message) -> Iterator[str]:
    made = message.get("tool_calls")
    for one in made if isinstance(made, list) else []:
        if isinstance(one, dict):
            yield str(_call(one)[0])


def _documents_of(row: _Row) -> list[Document]:
    if not row.documents:
        return []
    try:
        return _documents.decode(row.documents)[:_MOST_DOCUMENTS]
    except msgspec.MsgspecError:
        return []
