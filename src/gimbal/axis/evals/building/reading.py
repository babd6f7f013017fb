"""Examples out of spans: which span of a trace says what went in, and what of it a suite can hold.

The chain that a prompt records has its variables as they were given; a model call has messages, of which a single question
is taken by itself and a conversation with its last question beside it; anything else goes in as it came.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from gimbal.axis.evals.building.model import Drop
from gimbal.axis.traces.media import SCHEME
from gimbal.axis.traces.messages import messages_in, text_at
from gimbal.axis.traces.model import KINDS
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

_NAMED = "name="
# A long value that went to the blobs left these in its place.
_MOVED = frozenset({"blob", "size", "start"})
# As the SDK writes down what a function was called with.
_FUNCTION = frozenset({"args", "kwargs"})
_TAKEN_OUT = re.compile(r"\[[a-z0-9_]+:(?:dropped|failed|timeout)\]", re.ASCII)
# What a prompt with retrieval points to its sources with; an evaluation scores answers without.
_MARKER = re.compile(r"\s*\[\d{1,4}(?:\s*,\s*\d{1,4})*\]", re.ASCII)
_OWN = "answer prompt:"
_SYSTEM = frozenset({"system", "developer"})
_TEXTS = frozenset({"text", "reasoning", "refusal"})
# JSON that says nothing.
_SAYS = """input NOT IN ('', 'null', '""', '{}', '[]')"""
_READS = "trace_id, span_id, parent_id, is_root, kind, name, start_us, refs, weight"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The span of a trace that becomes an example."""

    trace_id: str
    span_id: str
    kind: str
    name: str
    input: str
    output: str
    refs: list[str]
    """Versions that the whole trace used."""


class Refused(Exception):
    """A trace that is no example."""

    def __init__(self, reason: str) -> None:
        """Say why, as one of Drop."""
        super().__init__(reason)
        self.reason = reason


class _Choice(NamedTuple):
    """Which spans may be taken, and which of several is."""

    sql: str
    order: str
    values: dict[str, str]


def _choice(span: str) -> _Choice:
    """Return what a caller wrote; raise BadInput."""
    first = "tuple(s.start_us, s.span_id)"
    head = "tuple(s.is_root = 0, s.parent_id != '', s.start_us, s.span_id)"
    if not span:
        return _Choice("(s.is_root = 1 OR s.kind = 'llm')", head, {})
    if span == "root":
        return _Choice("s.is_root = 1", head, {})
    if span in KINDS:
        return _Choice("s.kind = {span_kind:String}", first, {"span_kind": span})
    if span.startswith(_NAMED) and len(span) > len(_NAMED) and "\0" not in span:
        return _Choice("s.name = {span_name:String}", first, {"span_name": span.removeprefix(_NAMED)})
    raise BadInput(
        f"{span[:200]!r} does not say which span of a trace is meant.",
        where="span",
        todo=f"Give root, {', '.join(KINDS)}, or name=… for the name of a span.",
    )


def check_span(span: str) -> None:
    """Raise BadInput for what does not say which span is meant."""
    _choice(span)


async def taken(ctx: Context, span: str, trace_ids: Sequence[str]) -> dict[str, Taken]:
    """Return of each trace the span that is asked for and says what went in; those are left out that have none."""
    choice, values = _choice(span), {"project": ctx.project or "default", "ids": list(trace_ids)}
    columns = ctx.get(Columns)
    found = await columns.query(
        f"SELECT trace_id, argMinIf(s.span_id, {choice.order}, s.has AND {choice.sql}) AS span, "
        f"arraySort(groupUniqArrayArray(s.refs)) AS used FROM (SELECT {_READS}, {_SAYS} AS has FROM spans "
        "WHERE project = {project:String} AND trace_id IN {ids:Array(String)} "
        "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) AS s WHERE s.weight > 0 GROUP BY trace_id",
        {**values, **choice.values},
    )
    spans = {row["trace_id"]: row["span"] for row in found if row["span"]}
    used = {row["trace_id"]: list(row["used"]) for row in found}
    if not spans:
        return {}
    rows = await columns.query(
        "SELECT trace_id, span_id, kind, name, input, output FROM spans WHERE project = {project:String} "
        "AND trace_id IN {ids:Array(String)} AND span_id IN {spans:Array(String)} "
        "ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id",
        {**values, "spans": list(dict.fromkeys(spans.values()))},
    )
    # Span ids are unique in their trace only.
    meant = [row for row in rows if spans.get(row["trace_id"]) == row["span_id"]]
    return {row["trace_id"]: Taken(**row, refs=used[row["trace_id"]]) for row in meant}


def input_of(span: Taken) -> dict[str, Any]:
    """Return what went into a span as an example has it; raise Refused."""
    value = _decoded(span.input)
    _check(value)
    if isinstance(value, str):
        found: dict[str, Any] = {"question": value}
    elif isinstance(value, list | dict):
        found = _of_value(cast("dict[str, Any] | list[Any]", value), span.kind)
    else:
        found = {} if value is None else {"input": value}
    if not any(one not in ("", None, [], {}) for one in found.values()):
        raise Refused(Drop.NO_INPUT)
    return found


def answer_of(span: Taken) -> dict[str, Any]:
    """Return what came out of a span as an expectation; empty where it says nothing that can be compared with."""
    try:
        value = _decoded(span.output)
        _check(value)
    except Refused:
        return {}
    if isinstance(value, str):
        own = span.name.startswith(_OWN) and any(ref.startswith("index:") for ref in span.refs)
        text = _MARKER.sub("", value) if own else value
        return {"answer": text.strip()} if text.strip() else {}
    if isinstance(value, list | dict):
        messages = messages_in(value)
        if _are_messages(messages):
            text = _last(messages, "assistant")
            return {"answer": text} if text.strip() else {}
        return {"json": value} if value else {}
    if isinstance(value, bool):
        return {"answer": str(value).lower()}
    return {} if value is None else {"number": value}


def whole(text: str) -> Any:
    """Return what JSON text of a span says; None for an empty one. Raise Refused for what is not whole, or no JSON."""
    value = _decoded(text)
    _check(value)
    return value


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Refused(Drop.UNREADABLE) from None


def _check(value: Any) -> None:
    """Raise Refused for what is not whole."""
    try:
        for text in _texts(value):
            if SCHEME in text:
                raise Refused(Drop.MEDIA)
            if _TAKEN_OUT.fullmatch(text.strip()):
                raise Refused(Drop.REDACTED)
    except RecursionError:
        raise Refused(Drop.UNREADABLE) from None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _texts(one)
    elif isinstance(value, dict):
        row = cast("dict[str, Any]", value)
        if row.keys() == _MOVED:
            raise Refused(Drop.TOO_LONG)
        for one in row.values():
            yield from _texts(one)


def texts_of(given: Mapping[str, Any]) -> str:
    """Return the texts of an input by which it is compared with others: not what a system says in each conversation."""
    messages: Any = given.get("messages")
    if _are_messages(messages):
        said = [one for one in messages if one["role"] not in _SYSTEM]
        given = {**given, "messages": [[one.get("content"), one.get("tool_calls")] for one in said]}
    return "\n".join(_leaves(given))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        row = cast("dict[str, Any]", value)
        for name in sorted(row):
            yield from _leaves(row[name])
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _leaves(one)
    elif value is not None:
        yield value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _of_value(value: dict[str, Any] | list[Any], kind: str) -> dict[str, Any]:
    if isinstance(value, list) or kind == "llm" or value.keys() == {"messages"}:
        messages: Any = messages_in(value)
        if _are_messages(messages):
            return _of_messages(messages)
    if isinstance(value, dict):
        return _of_function(value) if value.keys() == _FUNCTION else value
    return {"input": value}


def _of_function(value: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function that was traced: by name, and one alone as the question or as it is."""
    given, named = value["args"], value["kwargs"]
    if not isinstance(given, list) or not isinstance(named, dict):
        return value
    by_place, found = cast("list[Any]", given), cast("dict[str, Any]", named)
    if not by_place:
        return found
    if len(by_place) > 1:
        return {**found, "args": by_place}
    if isinstance(by_place[0], dict):
        return {**cast("dict[str, Any]", by_place[0]), **found}
    return {"question": by_place[0], **found} if isinstance(by_place[0], str) else {**found, "input": by_place[0]}


def _are_messages(value: Any) -> bool:
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    return bool(rows) and all(isinstance(one, dict) and "role" in one for one in rows)


def _of_messages(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a question of a single message of a user, else the conversation with its last question."""
    plain: list[dict[str, Any]] = []
    for one in messages:
        kept: dict[str, Any] = {"role": one["role"], "content": _text(one.get("content"))}
        plain.append(kept | {name: one[name] for name in ("name", "tool_calls", "tool_call_id") if one.get(name)})
    if len(plain) == 1 and plain[0]["role"] == "user":
        return {"question": plain[0]["content"]}
    return {"messages": plain, "question": _last(plain, "user")}


def _last(messages: Sequence[Mapping[str, Any]], role: str) -> str:
    return next((_text(one.get("content")) for one in reversed(messages) if one.get("role") == role), "")


def _text(content: Any) -> str:
    """Return the text of a message; raise Refused where there is more than text."""
    if isinstance(content, str):
        return content
    found: list[str] = []
    for part in cast("list[dict[str, Any]]", content) if isinstance(content, list) else []:
        if part.get("type") not in _TEXTS:
            raise Refused(Drop.MEDIA)
        if part["type"] != "reasoning":
            found.append(text_at(part, "text"))
    return "\n".join(found)
