"""OpenLLMetry (Traceloop): its flattened prompts and completions, the spans of its workflows and of vector databases.

Source: opentelemetry-semantic-conventions-ai 0.4 and 0.5. Versions before 0.53 number their messages
(`gen_ai.prompt.0.content`), the first ones under `llm.`; newer ones speak the GenAI conventions, which fill what is open.
`prompt_tokens` includes cached tokens, of Anthropic too.
"""

from typing import Any

from gimbal.axis.traces.dialects import otel_genai
from gimbal.axis.traces.dialects.documents import document
from gimbal.axis.traces.dialects.reading import (
    Reading,
    encoded,
    filled,
    finish_of,
    first,
    gimbal_part,
    numbered,
    provider_of,
    session_of,
    text,
    user_of,
)
from gimbal.axis.traces.dialects.usage import usage_of
from gimbal.axis.traces.messages import messages_in
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"}
_REQUESTS = {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "reranker"}
# Vector databases whose spans it writes.
_STORES = ("chroma", "pinecone", "qdrant", "milvus", "weaviate", "marqo", "lancedb")
# Told by whole names, because every span is asked.
_MARKS = frozenset({"llm.request.type", "llm.usage.total_tokens", "traceloop.span.kind", "traceloop.entity.name"}) | {
    f"{list_name}.0.{field}"
    for list_name in ("gen_ai.prompt", "gen_ai.completion", "llm.prompts", "llm.completions")
    for field in ("role", "content", "finish_reason")
}


def claims(raw: RawSpan) -> bool:
    """Tell whether the span has attributes that only OpenLLMetry gives."""
    return not _MARKS.isdisjoint(raw.attributes) or raw.attributes.get("db.system") in _STORES


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    answers = _messages(a, "gen_ai.completion") or _messages(a, "llm.completions")
    reasons = [answer.pop("finish_reason", None) for answer in answers]
    kind = _KINDS.get(text(a.get("traceloop.span.kind")).lower())
    if a.get("db.system") in _STORES and any(word in text(a.get("db.operation")) for word in ("query", "search")):
        kind = "retriever"
    reading = Reading(
        dialect="traceloop",
        kind=kind or _REQUESTS.get(text(a.get("llm.request.type")).lower(), "other"),
        provider=provider_of(first(a, "gen_ai.system", "llm.vendor")),
        model=text(
            first(a, "gen_ai.response.model", "gen_ai.request.model", "llm.response.model", "llm.request.model")
        ),
        usage=usage_of(
            first(a, "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
            first(a, "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
            a.get("gen_ai.usage.cache_read_input_tokens"),
            a.get("gen_ai.usage.cache_creation_input_tokens"),
            first(a, "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
            **otel_genai.more_of(a),
        ),
        finish=finish_of(first(a, "gen_ai.response.finish_reason", "llm.response.finish_reason") or reasons),
        response_id=text(first(a, "gen_ai.response.id", "llm.response.id")),
        input=messages_in(_messages(a, "gen_ai.prompt") or _messages(a, "llm.prompts"))
        or _entity(a.get("traceloop.entity.input")),
        output=messages_in(answers) or _entity(a.get("traceloop.entity.output")),
        documents=_found(raw.events) if kind == "retriever" else [],
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )
    return filled(reading, otel_genai.read(raw))


def _found(events: list[dict[str, Any]]) -> list[Document]:
    """Return what a search of vectors found: an event each."""
    start = "db.query.result."
    return [
        document({name.removeprefix(start): value for name, value in event["attributes"].items()})
        for event in events
        if event["name"] == "db.query.result"
    ]


def _entity(value: Any) -> Any:
    """Return what went into or came out of a decorated function, or None."""
    return None if value is None else encoded(value)


def _messages(a: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the messages that are flattened into `prefix.{i}.…`, by their numbers, calls as OpenAI's wire has them."""
    found: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[int, dict[str, Any]]] = {}
    start = f"{prefix}."
    for name, value in a.items():
        index, rest = numbered(name.removeprefix(start), ".") if name.startswith(start) else (None, "")
        if index is None:
            continue
        message = found.setdefault(index, {})
        call, field = numbered(rest.removeprefix("tool_calls."), ".")
        if rest.startswith("tool_calls.") and call is not None:
            calls.setdefault(index, {}).setdefault(call, {})[field] = value
        elif rest.startswith("function_call."):
            calls.setdefault(index, {}).setdefault(0, {})[rest.removeprefix("function_call.")] = value
        else:
            message[rest] = encoded(value) if rest == "content" and text(value)[:1] == "[" else value
    for index, made in calls.items():
        found[index]["tool_calls"] = [_call(made[call]) for call in sorted(made)]
    return [{"role": "", **found[index]} for index in sorted(found)]


def _call(fields: dict[str, Any]) -> dict[str, Any]:
    function = {name: fields[name] for name in ("name", "arguments") if name in fields}
    return {**({"id": fields["id"]} if "id" in fields else {}), "type": "function", "function": function}
