"""MLflow: spans of its tracing and autologging. Every attribute is JSON text, texts too.

Source: mlflow 3.17, `mlflow.tracing.constant`. Inputs and outputs are the provider's request and answer as they were, so
messages and the reason for stopping are taken from there.
"""

from typing import Any

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.dialects import otel_genai
from gimbal.axis.traces.dialects.documents import documents_in
from gimbal.axis.traces.dialects.reading import (
    Reading,
    answer_id,
    encoded,
    filled,
    finish_in,
    gimbal_part,
    maker_of,
    number,
    provider_of,
    session_of,
    text,
    user_of,
)
from gimbal.axis.traces.dialects.usage import told_by, usage_of
from gimbal.axis.traces.messages import said
from gimbal.axis.traces.otlp import RawSpan

_KINDS = {
    "LLM": "llm", "CHAT_MODEL": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever",
    "PARSER": "chain", "EMBEDDING": "embedding", "RERANKER": "reranker", "WORKFLOW": "chain", "TASK": "chain",
    "GUARDRAIL": "guard", "EVALUATOR": "evaluator", "MEMORY": "other", "UNKNOWN": "other",
}  # fmt: skip
# Formats of messages that are a provider's own.
_FORMATS = {"openai", "anthropic", "gemini", "bedrock", "mistral", "groq"}


def claims(raw: RawSpan) -> bool:
    """Tell whether the span has MLflow's type."""
    return "mlflow.spanType" in raw.attributes


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    given, came = encoded(a.get("mlflow.spanInputs")), encoded(a.get("mlflow.spanOutputs"))
    kind = _KINDS.get(text(encoded(a["mlflow.spanType"])).upper(), "other")
    is_call = kind in {"llm", "embedding"}
    own = given.get("model") if is_call and isinstance(given, dict) else None
    model = text(encoded(a.get("mlflow.llm.model")) or own)
    style = text(encoded(a.get("mlflow.message.format"))).lower()
    provider = encoded(a.get("mlflow.llm.provider")) or (style if is_call and style in _FORMATS else maker_of(model))
    reading = Reading(
        dialect="mlflow",
        kind=kind,
        provider=provider_of(provider),
        model=model,
        usage=told_by(
            came if is_call else None, _usage(encoded(a.get("mlflow.chat.tokenUsage")), provider_of(provider))
        ),
        finish=finish_in(came) if is_call else "",
        response_id=answer_id(came) if is_call else "",
        input=said(given, "user") if kind == "llm" else given,
        output=said(came, "assistant") if kind == "llm" else came,
        documents=documents_in(came) if kind in {"retriever", "reranker"} else [],
        session_id=text(encoded(session_of(a))),
        user_id=text(encoded(user_of(a))),
        **gimbal_part(a),
    )
    return filled(reading, otel_genai.read(raw))


def _usage(given: Any, provider: str) -> Usage | None:
    if not isinstance(given, dict):
        return None
    read, written = given.get("cache_read_input_tokens"), given.get("cache_creation_input_tokens")
    count = number(given.get("input_tokens"))
    if provider == "anthropic" and count is not None:
        # The provider's own count is kept: without what was cached.
        count += (number(read) or 0) + (number(written) or 0)
    return usage_of(count, given.get("output_tokens"), read, written)
