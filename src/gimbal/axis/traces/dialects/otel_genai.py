"""OpenTelemetry's GenAI conventions, from the first names to those after 1.41.

Source: open-telemetry/semantic-conventions-genai. None of its attributes is stable, so old and new names are read:
`gen_ai.system` is `gen_ai.provider.name`, `prompt_tokens` is `input_tokens`, `cache_creation` is `cache_write`.
Messages come as JSON text, as structured values, or as events: one for each message in the older conventions, one
`gen_ai.client.inference.operation.details` with all of them in the newer. Definitions of tools stay among the attributes.
"""

from typing import Any

from gimbal.axis.traces.dialects.documents import document, ranked
from gimbal.axis.traces.dialects.reading import (
    Reading,
    finish_of,
    first,
    gimbal_part,
    json_value,
    number,
    provider_of,
    session_of,
    text,
    user_of,
)
from gimbal.axis.traces.dialects.usage import usage_of
from gimbal.axis.traces.messages import messages_in
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "retrieval": "retriever", "rerank": "reranker", "execute_tool": "tool", "create_agent": "agent", "invoke_agent": "agent",
    "invoke_workflow": "chain", "agent_step": "chain", "plan": "agent",
    "apply_guardrail": "guard", "run_guardrail": "guard", "evaluate": "evaluator", "decision": "prediction",
}  # fmt: skip
# What a span is that names no operation, by an attribute that only such spans have.
_SIGNS = (
    ("gen_ai.guardrail.name", "guard"), ("gen_ai.guardrail.guard.name", "guard"), ("gen_ai.guardian.name", "guard"),
    ("gen_ai.security.guardrail.name", "guard"), ("gen_ai.evaluation.name", "evaluator"),
)  # fmt: skip
_DETAILS = "gen_ai.client.inference.operation.details"
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
# What such an event says of its message beside its content, by the names in a message.
_EVENT_FIELDS = {"role": "role", "tool_calls": "tool_calls", "id": "tool_call_id", "name": "name"}
# Names of the parts of the usage, the newest first; those with an underscore are OpenLLMetry's.
_CACHE_READ = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")
_CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.usage.reasoning_tokens",
)
TIERS = (
    "openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier",
    "gen_ai.anthropic.service_tier", "gimbal.tier",
)  # fmt: skip
# What the parts of the usage are that few calls have; the last ones are PydanticAI's.
_PARTS = (
    ("gen_ai.usage.audio.input_tokens", "audio_input"), ("gen_ai.usage.audio.output_tokens", "audio_output"),
    ("gen_ai.usage.audio.cache_read.input_tokens", "audio_cache_read"), ("gen_ai.usage.image.input_tokens", "image_input"),
    ("gen_ai.usage.image.output_tokens", "image_output"),
    ("gen_ai.usage.cache_creation.ephemeral_5m_input_tokens", "cache_write_5m"),
    ("gen_ai.usage.cache_creation.ephemeral_1h_input_tokens", "cache_write_1h"),
    ("gen_ai.usage.details.input_audio_tokens", "audio_input"), ("gen_ai.usage.details.output_audio_tokens", "audio_output"),
    ("gen_ai.usage.details.cache_audio_read_tokens", "audio_cache_read"),
    ("gen_ai.usage.details.ephemeral_5m_input_tokens", "cache_write_5m"),
    ("gen_ai.usage.details.ephemeral_1h_input_tokens", "cache_write_1h"),
)  # fmt: skip
_RARE = frozenset({*TIERS, *(name for name, _ in _PARTS)})


def more_of(a: dict[str, Any]) -> dict[str, Any]:
    """Return what else of the usage is told: the tier, and parts that few calls have, by their classes."""
    if _RARE.isdisjoint(a):
        return {}
    parts = {part: a[name] for name, part in _PARTS if name in a}
    return {"tier": first(a, *TIERS), **parts}


def claims(raw: RawSpan) -> bool:
    """Tell whether the span has any of the conventions' attributes."""
    return any(name.startswith("gen_ai.") for name in raw.attributes) or any(e["name"] == _DETAILS for e in raw.events)


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    for event in raw.events:
        if event["name"] == _DETAILS:
            a = event["attributes"] | a
    operation = text(a.get("gen_ai.operation.name"))
    messages, choices = _from_events(raw.events)
    output = json_value(first(a, "gen_ai.output.messages", "gen_ai.tool.call.result", "gen_ai.completion")) or choices
    is_tool = "gen_ai.tool.call.result" in a or "gen_ai.tool.call.arguments" in a
    kind = _KINDS.get(operation) or _kind_without(a)
    used = first(a, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
    usage = usage_of(
        first(a, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        used,
        first(a, *_CACHE_READ),
        first(a, *_CACHE_WRITE),
        first(a, *_REASONING),
        **more_of(a),
    )
    return Reading(
        dialect="otel-genai",
        kind=kind,
        provider=provider_of(first(a, "gen_ai.provider.name", "gen_ai.system")),
        model=text(first(a, "gen_ai.response.model", "gen_ai.request.model")),
        usage=usage,
        estimated=usage is not None and used is None and kind == "llm",
        first_token_us=_microseconds(a.get("gen_ai.response.time_to_first_chunk")),
        finish=finish_of(a.get("gen_ai.response.finish_reasons"))
        or _finish_in(output)
        or _finish_in_choice(raw.events),
        response_id=text(a.get("gen_ai.response.id")),
        # What a tool is given and gives may look like messages, and is none.
        input=_input(a, messages) if not is_tool else json_value(a.get("gen_ai.tool.call.arguments")),
        output=output if is_tool else messages_in(output),
        documents=_documents(a),
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )


def _kind_without(a: dict[str, Any]) -> str:
    """Return the kind of a span whose operation says nothing of it."""
    for name, kind in _SIGNS:
        if name in a:
            return kind
    return "llm" if first(a, "gen_ai.request.model", "gen_ai.response.model") else "other"


def _microseconds(seconds: Any) -> int | None:
    return number(seconds * 1e6) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None


def _finish_in(output: Any) -> str:
    """Return the reason that a message of the output bears, as conventions before 1.42 have it."""
    message = output[0] if isinstance(output, list) and output else None
    return finish_of(message.get("finish_reason")) if isinstance(message, dict) else ""


def _finish_in_choice(events: list[dict[str, Any]]) -> str:
    return next((finish_of(e["attributes"].get("finish_reason")) for e in events if e["name"] == "gen_ai.choice"), "")


def _input(a: dict[str, Any], from_events: list[Any] | None) -> Any:
    given = json_value(first(a, "gen_ai.input.messages", "gen_ai.retrieval.query.text", "gen_ai.prompt"))
    system = json_value(a.get("gen_ai.system_instructions"))
    if system and isinstance(given, list):
        given = [{"role": "system", "parts": system if isinstance(system, list) else [system]}, *given]
    return messages_in(given or from_events)


def _from_events(events: list[dict[str, Any]]) -> tuple[list[Any] | None, list[Any] | None]:
    """Return messages and choices of the per-message events that older instrumentations send."""
    messages: list[Any] = []
    choices: list[Any] = []
    for event in events:
        attributes = event["attributes"]
        if event["name"] == "gen_ai.choice":
            message = json_value(attributes.get("message", attributes))
            choices.append({"role": "assistant"} | message if isinstance(message, dict) else message)
        elif event["name"] in _EVENT_ROLES:
            messages.append({"role": _EVENT_ROLES[event["name"]]} | _of_event(attributes))
    return messages or None, choices or None


def _of_event(attributes: dict[str, Any]) -> dict[str, Any]:
    found = {name: attributes[name] for name in ("content", "id", "name") if name in attributes}
    if "tool_calls" in attributes:
        found["tool_calls"] = json_value(attributes["tool_calls"])
    return found


def _documents(a: dict[str, Any]) -> list[Document]:
    given = a.get("gen_ai.retrieval.documents")
    if given is not None:
        rows = json_value(given)
        return [document(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return ranked(a.get("ai.documents"), a["ai.ranking"]) if "ai.ranking" in a else []
