"""OpenInference (Arize Phoenix and others): flattened messages, typed span kinds.

Source: the OpenInference semantic conventions 0.1.x. `llm.token_count.prompt` includes cached tokens.
"""

from typing import Any

from gimbal.axis.traces.dialects.reading import (
    Reading,
    finish_of,
    first,
    gimbal_part,
    json_value,
    numbered,
    provider_of,
    real,
    session_of,
    text,
    usage_of,
    user_of,
)
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "LLM": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "RERANKER": "reranker", "EMBEDDING": "embedding", "GUARDRAIL": "guard", "EVALUATOR": "evaluator",
    "PROMPT": "chain",
}  # fmt: skip


def claims(raw: RawSpan) -> bool:
    """Tell whether the span names its kind in the convention's way."""
    return "openinference.span.kind" in raw.attributes


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    return Reading(
        dialect="openinference",
        kind=_KINDS.get(text(a.get("openinference.span.kind")).upper(), "other"),
        provider=provider_of(first(a, "llm.provider", "llm.system")),
        model=text(
            first(a, "llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name")
            or _asked(a)
        ),
        usage=usage_of(
            a.get("llm.token_count.prompt"),
            a.get("llm.token_count.completion"),
            first(a, "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
            a.get("llm.token_count.prompt_details.cache_write"),
            a.get("llm.token_count.completion_details.reasoning"),
        ),
        finish=finish_of(a.get("llm.finish_reason")),
        input=_messages(a, "llm.input_messages") or json_value(a.get("input.value")),
        output=_messages(a, "llm.output_messages") or json_value(a.get("output.value")),
        documents=_documents(a),
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )


def _asked(a: dict[str, Any]) -> Any:
    """Return the model that a call without an answer was to be made with."""
    parameters = json_value(a.get("llm.invocation_parameters"))
    return parameters.get("model") if isinstance(parameters, dict) else None


def _messages(a: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the messages that are flattened into `prefix.{i}.message.…`, by their numbers."""
    found: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[int, str]] = {}
    calls: dict[int, dict[int, dict[str, Any]]] = {}
    start = f"{prefix}."
    for name, value in a.items():
        index, rest = numbered(name.removeprefix(start), ".message.") if name.startswith(start) else (None, "")
        if index is None:
            continue
        message = found.setdefault(index, {})
        part, field = numbered(rest.removeprefix("contents."), ".message_content.")
        call, argument = numbered(rest.removeprefix("tool_calls."), ".tool_call.")
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
        found[index]["tool_calls"] = [_call(made[call]) for call in sorted(made)]
    return [found[index] for index in sorted(found)]


def _call(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a tool call as OpenAI's wire has it."""
    function = {name.removeprefix("function."): v for name, v in fields.items() if name.startswith("function.")}
    rest = {name: v for name, v in fields.items() if not name.startswith("function.")}
    return {**rest, "type": "function", "function": function}


def _documents(a: dict[str, Any]) -> list[Document]:
    found: dict[int, dict[str, Any]] = {}
    for name, value in a.items():
        if not name.startswith("retrieval.documents."):
            continue
        index, field = numbered(name.removeprefix("retrieval.documents."), ".document.")
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
