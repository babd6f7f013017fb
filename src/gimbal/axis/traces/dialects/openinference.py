"""OpenInference (Arize Phoenix and others): flattened messages, typed span kinds.

Source: the OpenInference semantic conventions 0.1.x. `llm.token_count.prompt` includes cached tokens.
"""

from typing import Any

from gimbal.axis.traces.dialects.reading import Reading, first, gimbal_part, json_value, real, text, usage_of
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "LLM": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "RERANKER": "reranker", "EMBEDDING": "embedding", "GUARDRAIL": "guard", "EVALUATOR": "evaluator",
    "PROMPT": "chain",
}  # fmt: skip
_MOST_DIGITS = 4


def claims(raw: RawSpan) -> bool:
    """Tell whether the span names its kind in the convention's way."""
    return "openinference.span.kind" in raw.attributes


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    return Reading(
        dialect="openinference",
        kind=_KINDS.get(text(a.get("openinference.span.kind")).upper(), "other"),
        provider=text(first(a, "llm.provider", "llm.system")),
        model=text(
            first(a, "llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name")
        ),
        usage=usage_of(
            a.get("llm.token_count.prompt"),
            a.get("llm.token_count.completion"),
            first(a, "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
            a.get("llm.token_count.prompt_details.cache_write"),
            a.get("llm.token_count.completion_details.reasoning"),
        ),
        finish=text(a.get("llm.finish_reason")),
        input=_messages(a, "llm.input_messages") or json_value(a.get("input.value")),
        output=_messages(a, "llm.output_messages") or json_value(a.get("output.value")),
        documents=_documents(a),
        session_id=text(a.get("session.id")),
        user_id=text(a.get("user.id")),
        **gimbal_part(a),
    )


def _messages(a: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the messages that are flattened into `prefix.{i}.message.…`, by their numbers."""
    found: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[int, str]] = {}
    calls: dict[int, dict[int, dict[str, Any]]] = {}
    start = f"{prefix}."
    for name, value in a.items():
        index, rest = _numbered(name.removeprefix(start), ".message.") if name.startswith(start) else (None, "")
        if index is None:
            continue
        message = found.setdefault(index, {})
        part, field = _numbered(rest.removeprefix("contents."), ".message_content.")
        call, argument = _numbered(rest.removeprefix("tool_calls."), ".tool_call.")
        if part is not None and rest.startswith("contents."):
            if field == "text":
                parts.setdefault(index, {})[part] = text(value)
        elif call is not None and rest.startswith("tool_calls."):
            calls.setdefault(index, {}).setdefault(call, {})[argument] = value
        else:
            message[rest] = value
    for index, texts in parts.items():
        found[index]["content"] = "\n".join(texts[part] for part in sorted(texts))
    for index, made in calls.items():
        found[index]["tool_calls"] = [made[call] for call in sorted(made)]
    return [found[index] for index in sorted(found)]


def _numbered(name: str, separator: str) -> tuple[int | None, str]:
    """Split `{number}{separator}{rest}`; None for the number where the name is not so, or the number absurd."""
    index, found, rest = name.partition(separator)
    if not found or not rest or not index.isascii() or not index.isdecimal() or len(index) > _MOST_DIGITS:
        return None, ""
    return int(index), rest


def _documents(a: dict[str, Any]) -> list[Document]:
    found: dict[int, dict[str, Any]] = {}
    for name, value in a.items():
        if not name.startswith("retrieval.documents."):
            continue
        index, field = _numbered(name.removeprefix("retrieval.documents."), ".document.")
        if index is not None:
            found.setdefault(index, {})[field] = value
    return [
        Document(
            id=text(row.get("id")),
            content=text(row.get("content")),
            score=real(row.get("score")),
        )
        for _, row in sorted(found.items())
    ]
