"""OpenInference (Arize Phoenix and others): flattened messages, typed span kinds.

Source: the OpenInference semantic conventions 0.1.x. `llm.token_count.prompt` includes cached tokens.
"""

from typing import Any

from gimbal.axis.traces.dialects.reading import Reading, first, gimbal_part, json_value, text, usage_of
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "LLM": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "RERANKER": "reranker", "EMBEDDING": "embedding", "GUARDRAIL": "guard", "EVALUATOR": "evaluator",
    "PROMPT": "chain",
}  # fmt: skip
_MOST_ITEMS = 1000


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
    """Return the messages that are flattened into `prefix.{i}.message.…`."""
    found: dict[int, dict[str, Any]] = {}
    start = f"{prefix}."
    for name, value in a.items():
        if not name.startswith(start):
            continue
        index, _, rest = name.removeprefix(start).partition(".message.")
        if not index.isdecimal() or not rest or int(index) > _MOST_ITEMS:
            continue
        message = found.setdefault(int(index), {})
        if rest.startswith("contents."):
            if rest.endswith(".message_content.text"):
                message["content"] = "\n".join(filter(None, [message.get("content"), text(value)]))
        elif rest.startswith("tool_calls."):
            number, _, field = rest.removeprefix("tool_calls.").partition(".tool_call.")
            message.setdefault("tool_calls", {}).setdefault(number, {})[field] = value
        else:
            message[rest] = value
    for message in found.values():
        if "tool_calls" in message:
            message["tool_calls"] = list(message["tool_calls"].values())
    return [found[index] for index in sorted(found)]


def _documents(a: dict[str, Any]) -> list[Document]:
    found: dict[int, dict[str, Any]] = {}
    for name, value in a.items():
        if not name.startswith("retrieval.documents."):
            continue
        index, _, field = name.removeprefix("retrieval.documents.").partition(".document.")
        if index.isdecimal() and int(index) <= _MOST_ITEMS:
            found.setdefault(int(index), {})[field] = value
    return [
        Document(
            id=text(row.get("id")),
            content=text(row.get("content")),
            score=row.get("score") if isinstance(row.get("score"), int | float) else None,
        )
        for _, row in sorted(found.items())
    ]
