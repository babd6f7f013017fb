"""The AI SDK of Vercel, versions 3 to 6: `ai.*` beside some GenAI names. Version 7 speaks the GenAI conventions.

Source: its telemetry page, and recordings of version 5. The span of `generateText` repeats the usage of the calls
beneath it (`….doGenerate`), so it is a chain and not a call. Up to version 5 the input tokens of Anthropic's models came
without those that were cached.
"""

from typing import Any

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.dialects import otel_genai
from gimbal.axis.traces.dialects.documents import ranked
from gimbal.axis.traces.dialects.reading import (
    Reading,
    encoded,
    filled,
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
from gimbal.axis.traces.dialects.usage import told_by, usage_of
from gimbal.axis.traces.messages import messages_in
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "doGenerate": "llm", "doStream": "llm", "doEmbed": "embedding", "doRerank": "reranker", "toolCall": "tool",
    "agent": "agent",
}  # fmt: skip


def claims(raw: RawSpan) -> bool:
    """Tell whether the span names its operation as the SDK does."""
    return text(raw.attributes.get("ai.operationId")).startswith("ai.")


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    provider, _, _ = text(first(a, "ai.model.provider", "gen_ai.system")).partition(".")
    reading = Reading(
        dialect="vercel-ai",
        kind=_KINDS.get(text(a["ai.operationId"]).rpartition(".")[2], "chain"),
        provider=provider_of(provider),
        model=text(first(a, "ai.response.model", "gen_ai.response.model", "ai.model.id")),
        usage=_usage(a, provider),
        first_token_us=_first_token(first(a, "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")),
        finish=finish_of(a.get("ai.response.finishReason")),
        response_id=text(first(a, "ai.response.id", "gen_ai.response.id")),
        input=_input(a),
        output=_output(a),
        documents=ranked(a.get("ai.documents"), a.get("ai.ranking")),
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )
    return filled(reading, otel_genai.read(raw))


def _usage(a: dict[str, Any], provider: str) -> Usage | None:
    given = first(a, "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens", "gen_ai.usage.input_tokens")
    read = first(a, "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens")
    written = a.get("ai.usage.inputTokenDetails.cacheWriteTokens")
    is_whole = any(name.startswith("ai.usage.inputTokenDetails.") for name in a)
    told = json_value(a.get("ai.response.providerMetadata"))
    own = told.get(provider) if isinstance(told, dict) else None
    own = own if isinstance(own, dict) else {}
    if provider == "anthropic" and not is_whole:
        written = own.get("cacheCreationInputTokens")
        count = number(given)
        given = None if count is None else count + (number(read) or 0) + (number(written) or 0)
    counted = usage_of(
        given,
        first(a, "ai.usage.outputTokens", "ai.usage.completionTokens", "gen_ai.usage.output_tokens"),
        read,
        written,
        first(a, "ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
        tier=first(own, "serviceTier"),
    )
    return told_by({"type": "message", "usage": own.get("usage")}, counted) if provider == "anthropic" else counted


def _first_token(milliseconds: Any) -> int | None:
    is_number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    return number(milliseconds * 1000) if is_number else None


def _input(a: dict[str, Any]) -> Any:
    value = first(a, "ai.prompt.messages", "ai.prompt")
    if value is not None:
        return messages_in([encoded(one) for one in value] if isinstance(value, list) else encoded(value))
    value = first(a, "ai.toolCall.args", "ai.values", "ai.value")
    return [encoded(one) for one in value] if isinstance(value, list) else encoded(value)


def _output(a: dict[str, Any]) -> Any:
    """Return the answer as a message, its calls as OpenAI's wire has them; or a tool's result."""
    said, made = a.get("ai.response.text"), json_value(a.get("ai.response.toolCalls"))
    if said is None and not made:
        return encoded(first(a, "ai.response.object", "ai.toolCall.result"))
    message: dict[str, Any] = {"role": "assistant", "content": said, "reasoning": a.get("ai.response.reasoning")}
    if isinstance(made, list):
        message["tool_calls"] = made
    return messages_in([message])
