"""OpenInference (Arize Phoenix and others): flattened messages, typed span kinds.

Source: the OpenInference semantic conventions 0.1.x. `llm.token_count.prompt` includes cached tokens.
"""

from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.dialects.documents import flattened
from gimbal.axis.traces.dialects.reading import (
    Reading,
    finish_of,
    first,
    gimbal_part,
    json_value,
    numbered,
    provider_of,
    session_of,
    text,
    user_of,
)
from gimbal.axis.traces.dialects.usage import told_by, usage_of
from gimbal.axis.traces.messages import messages_in, said
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "LLM": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "RERANKER": "reranker", "EMBEDDING": "embedding", "GUARDRAIL": "guard", "EVALUATOR": "evaluator",
    "PROMPT": "chain", "DECISION": "prediction",
}  # fmt: skip


_MODELS = (
    "llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name",
    "reranker.model_name", "decision.response.model_name", "decision.model_name", "decision.request.model_name",
)  # fmt: skip


_FUNCTION_CALL = {"function_call_name": "function.name", "function_call_arguments_json": "function.arguments"}


class _Answer(msgspec.Struct):
    id: str = ""
    object: str = ""
    type: str = ""
    choices: msgspec.Raw = msgspec.Raw(b"")
    usage: msgspec.Raw = msgspec.Raw(b"")
    output: msgspec.Raw = msgspec.Raw(b"")
    service_tier: str | None = None


_answer = msgspec.json.Decoder(_Answer)
_BEGINS = "First Token Stream Event"


def claims(raw: RawSpan) -> bool:
    """Tell whether the span names its kind in the convention's way."""
    return "openinference.span.kind" in raw.attributes


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    kind = _KINDS.get(text(a.get("openinference.span.kind")).upper(), "other")
    answer = _answer_in(a.get("output.value"))
    return Reading(
        dialect="openinference",
        kind=kind,
        provider=provider_of(first(a, "llm.provider", "llm.system", "decision.provider", "decision.system")),
        model=text(first(a, *_MODELS) or _asked(a)),
        usage=_usage(a, answer),
        first_token_us=_first_token(raw),
        finish=finish_of(a.get("llm.finish_reason")),
        response_id=answer.id if answer else "",
        input=_input(a, kind),
        output=_messages(a, "llm.output_messages") or _value(a, "output", kind),
        documents=[] if kind in {"llm", "tool"} else _documents(a, kind),
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )


def _answer_in(value: Any) -> _Answer | None:
    """Return what is asked of the provider's answer, which stands there whole, without reading the rest of it."""
    if not isinstance(value, str) or value[:1] != "{":
        return None
    try:
        answer = _answer.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    return answer if answer.choices or answer.object == "response" or answer.type == "message" else None


def _usage(a: dict[str, Any], answer: _Answer | None) -> Usage | None:
    counted = usage_of(
        first(a, "llm.token_count.prompt", "decision.token_count.input"),
        first(a, "llm.token_count.completion", "decision.token_count.output"),
        first(a, "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
        a.get("llm.token_count.prompt_details.cache_write"),
        a.get("llm.token_count.completion_details.reasoning"),
        tier=None if answer is None else answer.service_tier,
        audio_input=a.get("llm.token_count.prompt_details.audio"),
        audio_output=a.get("llm.token_count.completion_details.audio"),
    )
    if answer is None or not answer.usage:
        return counted
    told = {
        "usage": json_value(bytes(answer.usage).decode()), "type": answer.type, "object": answer.object,
        "service_tier": answer.service_tier, "output": json_value(bytes(answer.output).decode()) if answer.output else None,
    }  # fmt: skip
    return told_by(told, counted)


def _first_token(raw: RawSpan) -> int | None:
    for event in raw.events:
        if event["name"] == _BEGINS:
            return max(event["at_us"] - raw.start_us, 0)
    return None


def _asked(a: dict[str, Any]) -> Any:
    """Return the model that a call without an answer was to be made with."""
    parameters = json_value(a.get("llm.invocation_parameters"))
    return parameters.get("model") if isinstance(parameters, dict) else None


def _value(a: dict[str, Any], name: str, kind: str) -> Any:
    value = json_value(a.get(f"{name}.value"))
    return said(value, "user" if name == "input" else "assistant") if kind == "llm" else value


def _input(a: dict[str, Any], kind: str) -> Any:
    found = _messages(a, "llm.input_messages") or _value(a, "input", kind)
    if kind == "reranker" and found is None:
        given = flattened(a, "reranker.input_documents")
        return {"query": a.get("reranker.query"), "documents": given} if given or "reranker.query" in a else None
    if kind == "embedding" and found is None:
        return [value for name, value in a.items() if name.endswith(".embedding.text")] or None
    return json_value(first(a, "tool.parameters")) if kind == "tool" and found is None else found


def _documents(a: dict[str, Any], kind: str) -> list[Document]:
    if kind == "reranker":
        return flattened(a, "reranker.output_documents")
    return flattened(a, "retrieval.documents") or flattened(a, "output.documents")


def _messages(a: dict[str, Any], prefix: str) -> list[Any]:
    """Return the messages that are flattened into `prefix.{i}.message.…`, by their numbers."""
    found: dict[int, dict[str, Any]] = {}
    parts: dict[int, dict[int, dict[str, Any]]] = {}
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
            # `image.image.url` is the address of an image.
            parts.setdefault(index, {}).setdefault(part, {})[field.rpartition(".")[2]] = value
        elif call is not None and rest.startswith("tool_calls."):
            calls.setdefault(index, {}).setdefault(call, {})[argument] = value
        elif rest.startswith("function_call_"):
            calls.setdefault(index, {}).setdefault(0, {})[_FUNCTION_CALL.get(rest, rest)] = value
        else:
            message[rest] = value
    for index, given in parts.items():
        found[index]["content"] = [given[part] for part in sorted(given)]
    for index, made in calls.items():
        found[index]["tool_calls"] = [_call(made[call]) for call in sorted(made)]
    rows = [{"role": "", **found[index]} for index in sorted(found)]
    return messages_in(rows)


def _call(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a tool call as OpenAI's wire has it."""
    function = {name.removeprefix("function."): v for name, v in fields.items() if name.startswith("function.")}
    rest = {name: v for name, v in fields.items() if not name.startswith("function.")}
    return {**rest, "type": "function", "function": function}
