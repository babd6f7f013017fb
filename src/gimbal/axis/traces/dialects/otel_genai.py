"""OpenTelemetry's GenAI conventions, from the first names to those after 1.41.

Source: open-telemetry/semantic-conventions-genai. None of its attributes is stable, so old and new names are read:
`gen_ai.system` is `gen_ai.provider.name`, `prompt_tokens` is `input_tokens`, `cache_creation` is `cache_write`.
Messages come as JSON text, as structured values, or as events: one for each message in the older conventions, one
`gen_ai.client.inference.operation.details` with all of them in the newer. Definitions of tools stay among the attributes.
"""

from typing import Any

from gimbal.axis.traces.dialects.reading import (
    Reading,
    finish_of,
    first,
    gimbal_part,
    json_value,
    number,
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
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "retrieval": "retriever", "execute_tool": "tool", "create_agent": "agent", "invoke_agent": "agent",
    "invoke_workflow": "chain", "agent_step": "chain", "plan": "agent",
}  # fmt: skip
_DETAILS = "gen_ai.client.inference.operation.details"
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
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
    kind = _KINDS.get(operation, "llm" if first(a, "gen_ai.request.model", "gen_ai.response.model") else "other")
    return Reading(
        dialect="otel-genai",
        kind=kind,
        provider=provider_of(first(a, "gen_ai.provider.name", "gen_ai.system")),
        model=text(first(a, "gen_ai.response.model", "gen_ai.request.model")),
        usage=usage_of(
            first(a, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
            first(a, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
            first(a, *_CACHE_READ),
            first(a, *_CACHE_WRITE),
            first(a, *_REASONING),
        ),
        first_token_us=_microseconds(a.get("gen_ai.response.time_to_first_chunk")),
        finish=finish_of(a.get("gen_ai.response.finish_reasons"))
        or _finish_in(output)
        or _finish_in_choice(raw.events),
        input=_input(a, messages),
        output=output,
        documents=_documents(json_value(a.get("gen_ai.retrieval.documents"))),
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )


def _microseconds(seconds: Any) -> int | None:
    return number(seconds * 1e6) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None


def _finish_in(output: Any) -> str:
    """Return the reason that a message of the output bears, as conventions before 1.42 have it."""
    message = output[0] if isinstance(output, list) and output else None
    return finish_of(message.get("finish_reason")) if isinstance(message, dict) else ""


def _finish_in_choice(events: list[dict[str, Any]]) -> str:
    return next((finish_of(e["attributes"].get("finish_reason")) for e in events if e["name"] == "gen_ai.choice"), "")


def _input(a: dict[str, Any], from_events: list[Any] | None) -> Any:
    given = json_value(
        first(a, "gen_ai.input.messages", "gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text", "gen_ai.prompt")
    )
    system = json_value(a.get("gen_ai.system_instructions"))
    if system and isinstance(given, list):
        return [{"role": "system", "parts": system}, *given]
    return given or from_events


def _from_events(events: list[dict[str, Any]]) -> tuple[list[Any] | None, list[Any] | None]:
    """Return messages and choices of the per-message events that older instrumentations send."""
    messages: list[Any] = []
    choices: list[Any] = []
    for event in events:
        attributes = event["attributes"]
        if event["name"] == "gen_ai.choice":
            choices.append(json_value(attributes.get("message", attributes)))
        elif event["name"] in _EVENT_ROLES:
            messages.append({"role": _EVENT_ROLES[event["name"]], "content": json_value(attributes.get("content"))})
    return messages or None, choices or None


def _documents(value: Any) -> list[Document]:
    if not isinstance(value, list):
        return []
    return [
        Document(
            id=text(row.get("id")),
            content=text(row.get("content")),
            score=real(row.get("score")),
            source=text(row.get("source")),
        )
        for row in value
        if isinstance(row, dict)
    ]
