"""Langfuse: observations of its SDKs, and spans on which an application put its attributes.

Source: the attributes of the Langfuse SDKs 3 to 5. Usage comes in the provider's own form, where the input includes what
was cached, or by Langfuse's types (`input`, `input_cached_tokens`, `output` …), each of which excludes the others. No
provider is named: it is told from the model where the name tells it.
"""

from datetime import datetime
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
    finish_of,
    gimbal_part,
    json_value,
    maker_of,
    number,
    session_of,
    text,
    user_of,
)
from gimbal.axis.traces.dialects.usage import told_by, usage_of
from gimbal.axis.traces.messages import messages_in, said
from gimbal.axis.traces.otlp import RawSpan
from gimbal.kernel.clock import to_us

_KINDS = {
    "generation": "llm", "embedding": "embedding", "agent": "agent", "tool": "tool", "chain": "chain",
    "retriever": "retriever", "guardrail": "guard", "evaluator": "evaluator",
}  # fmt: skip
_HERE = "langfuse.observation."
_MARKS = frozenset(
    f"{_HERE}{name}" for name in ("type", "input", "output", "model.name", "usage_details", "metadata", "prompt.name")
)

_OUTPUTS = (("reasoning", "reasoning"), ("audio", "audio_output"), ("image", "image_output"))
_INPUTS = (("audio", "audio_input"), ("image", "image_input"), ("video", "image_input"))
_TIMES = (("cache_write_5m", "ephemeral_5m_input_tokens"), ("cache_write_1h", "ephemeral_1h_input_tokens"))


def claims(raw: RawSpan) -> bool:
    """Tell whether the span is an observation; what Langfuse puts on every span of a trace does not make it one."""
    return raw.scope == "langfuse-sdk" or not _MARKS.isdisjoint(raw.attributes)


def read(raw: RawSpan) -> Reading:
    """Read the span."""
    a = raw.attributes
    model = text(a.get(f"{_HERE}model.name"))
    output = json_value(a.get(f"{_HERE}output"))
    given = json_value(a.get(f"{_HERE}input", a.get("langfuse.trace.input")))
    metadata = json_value(a.get(f"{_HERE}metadata"))
    reason = metadata.get("finish_reason") if isinstance(metadata, dict) else None
    kind = _KINDS.get(text(a.get(f"{_HERE}type")).lower(), "other")
    reading = Reading(
        dialect="langfuse",
        kind=kind,
        model=model,
        usage=told_by(output, _usage(json_value(a.get(f"{_HERE}usage_details")))),
        first_token_us=_first_token(encoded(a.get(f"{_HERE}completion_start_time")), raw.start_us),
        finish=finish_of(encoded(a.get(f"{_HERE}metadata.finish_reason", reason))) or finish_in(output),
        response_id=answer_id(output),
        input=said(given, "user") if kind == "llm" else _listed(given, kind),
        output=said(output, "assistant") if kind == "llm" else _listed(output, kind),
        documents=documents_in(output) if kind == "retriever" else [],
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )
    return filled(filled(reading, otel_genai.read(raw)), Reading(dialect="", provider=maker_of(model)))


def _listed(value: Any, kind: str) -> Any:
    """Return the messages in a list; what a tool or a search is given and gives is none."""
    return messages_in(value) if isinstance(value, list) and kind not in {"tool", "retriever", "embedding"} else value


def _usage(details: Any) -> Usage | None:
    if not isinstance(details, dict):
        return None
    given: dict[str, Any] = details
    for names in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        inner = [given.get(f"{name}_details") for name in names]
        if (names[0] == "prompt_tokens" and names[0] in given) or any(isinstance(one, dict) for one in inner):
            of_input, of_output = (one if isinstance(one, dict) else {} for one in inner)
            return usage_of(
                given.get(names[0]),
                given.get(names[1]),
                of_input.get("cached_tokens"),
                of_input.get("cache_write_tokens"),
                of_output.get("reasoning_tokens"),
                audio_input=of_input.get("audio_tokens"),
                audio_output=of_output.get("audio_tokens"),
                image_input=of_input.get("image_tokens"),
            )
    return _by_types(given)


def _by_types(given: dict[str, Any]) -> Usage | None:
    """Return the usage of types that exclude each other: what is cached stands beside `input`, not in it."""
    counts = {name: count for name, value in given.items() if (count := number(value)) is not None}
    inputs = {name: count for name, count in counts.items() if "input" in name}
    outputs = {name: count for name, count in counts.items() if "output" in name}
    if not inputs and not outputs:
        return None
    classes: dict[str, Any] = {}
    for name, count in (inputs | outputs).items():
        one = _class_of(name)
        classes[one] = classes.get(one, 0) + count
    by_time = given.get("cache_creation")
    if isinstance(by_time, dict) and "cache_write" in classes:
        # Anthropic's own form, in which the whole stands beside its parts.
        for name, field in _TIMES:
            classes[name] = number(by_time.get(field)) or 0
            classes["cache_write"] -= classes[name]
    return Usage(**classes)


def _class_of(name: str) -> str:
    """Return the class that a type of Langfuse's means."""
    if "output" in name:
        return next((mine for word, mine in _OUTPUTS if word in name), "output")
    if "cache_creation" in name or "cache_write" in name:
        return next((f"cache_write_{time}" for time in ("5m", "1h") if time in name), "cache_write")
    if "cache" in name:
        return "audio_cache_read" if "audio" in name else "cache_read"
    return next((mine for word, mine in _INPUTS if word in name), "input")


def _first_token(moment: Any, start_us: int) -> int | None:
    try:
        at = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return None
    return number(to_us(at) - start_us) if at.tzinfo else None
