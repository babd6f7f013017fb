"""What every dialect returns, and the small readers they share."""

import math
import re
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Document

_MOST_COUNT = 2**53
_MOST_DEPTH = 64
# An unended string goes to the end, so that nothing is looked at twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")

_MOST_DIGITS = 4
_FINISHES = {
    "tool_call": "tool_calls", "tool_calls": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "end_turn": "stop", "stop_sequence": "stop", "stop": "stop", "max_tokens": "length", "length": "length",
    "content_filter": "content_filter", "safety": "content_filter",
}  # fmt: skip
_PROVIDERS = {
    "azure": "azure.ai.openai", "az.ai.openai": "azure.ai.openai", "azure-openai": "azure.ai.openai",
    "bedrock": "aws.bedrock", "aws": "aws.bedrock", "amazon-bedrock": "aws.bedrock", "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai", "vertex_ai": "gcp.vertex_ai", "mistral": "mistral_ai", "mistralai": "mistral_ai",
    "xai": "x_ai",
}  # fmt: skip
# Names that only one maker gives.
_MAKERS = (
    ("gpt-", "openai"), ("chatgpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"),
    ("text-embedding-", "openai"), ("claude", "anthropic"), ("gemini", "gcp.gemini"),
)  # fmt: skip
_SESSIONS = (
    "gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId", "mlflow.trace.session",
)  # fmt: skip
_USERS = (
    "user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId", "mlflow.trace.user",
)  # fmt: skip


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect understood of a span; the rest stays in its attributes."""

    dialect: str
    kind: str = "other"
    provider: str = ""
    model: str = ""
    usage: Usage | None = None
    estimated: bool = False
    """Whether a side of the usage was not reported, as of a stream that was left before its end: then it is a floor."""
    first_token_us: int | None = None
    finish: str = ""
    response_id: str = ""
    """The provider's id of its answer."""
    input: Any = None
    output: Any = None
    documents: list[Document] = []
    session_id: str = ""
    user_id: str = ""
    feature: str = ""
    refs: list[str] = []


def text(value: Any) -> str:
    """Return a text attribute, or an empty one."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(value: Any) -> int | None:
    """Return a count, also from text or a float as some senders write it; None when it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count <= _MOST_COUNT else None


def real(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def first(attributes: dict[str, Any], *names: str) -> Any:
    """Return the first of several attributes that is there."""
    for name in names:
        value = attributes.get(name)
        if value is not None:
            return value
    return None


def json_value(value: Any) -> Any:
    """Return the JSON in a text attribute, or the value itself when it is none."""
    if not isinstance(value, str) or value[:1] not in {"[", "{"} or _is_deep(value):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _is_deep(text: str) -> bool:
    """Tell whether JSON is nested so deep that it is better kept as the text it came as."""
    if text.count("[") + text.count("{") <= _MOST_DEPTH:
        return False
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest > _MOST_DEPTH


def encoded(value: Any) -> Any:
    """Return what a text attribute that always is JSON says, texts and numbers too."""
    if not isinstance(value, str) or value[:1] in {"[", "{"}:
        return json_value(value)
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def finish_of(value: Any) -> str:
    """Return why the model stopped in one word for one thing, whatever the provider calls it."""
    found = json_value(value)
    if isinstance(found, list):
        found = next(iter(found), None)
    word = text(found)
    return _FINISHES.get(word.lower().replace("-", "_"), word)


def provider_of(value: Any) -> str:
    """Return a provider by its name in the GenAI conventions, as far as it is written otherwise."""
    name = text(value).lower()
    return _PROVIDERS.get(name, name)


def maker_of(model: str) -> str:
    """Return the provider whose model bears such a name; empty when the name tells of none."""
    name = model.lower().rpartition("/")[2]
    return next((provider for start, provider in _MAKERS if name.startswith(start)), "")


def session_of(a: dict[str, Any]) -> str:
    """Return the session, however it is called: an application may put it on spans of any instrumentation."""
    return text(first(a, *_SESSIONS))


def user_of(a: dict[str, Any]) -> str:
    """Return the end user, by the same rule."""
    return text(first(a, *_USERS))


def finish_in(value: Any) -> str:
    """Return why the model stopped from a provider's answer."""
    if not isinstance(value, dict):
        return ""
    body: dict[str, Any] = value
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return finish_of(choice.get("finish_reason") if isinstance(choice, dict) else body.get("stop_reason"))


def answer_id(value: Any) -> str:
    """Return the id of a provider's answer, given the whole answer."""
    if not isinstance(value, dict):
        return ""
    body: dict[str, Any] = value
    is_answer = "choices" in body or body.get("type") == "message" or body.get("object") == "response"
    return text(body.get("id")) if is_answer else ""


def filled(reading: Reading, other: Reading) -> Reading:
    """Return a reading with what it leaves open taken from another of the same span."""
    empty = Reading(dialect="")
    open_fields = {
        name: getattr(other, name)
        for name in Reading.__struct_fields__
        if name != "dialect" and getattr(reading, name) == getattr(empty, name)
    }
    return msgspec.structs.replace(reading, **open_fields)


def numbered(name: str, separator: str) -> tuple[int | None, str]:
    """Split `{number}{separator}{rest}`; None for the number where the name is not so, or the number absurd."""
    index, found, rest = name.partition(separator)
    if not found or not rest or not index.isascii() or not index.isdecimal() or len(index) > _MOST_DIGITS:
        return None, ""
    return int(index), rest


def usage_of(
    input_tokens: Any, output_tokens: Any, cache_read: Any = None, cache_write: Any = None, reasoning: Any = None
) -> Usage | None:
    """Return the usage, or None when neither side was reported; a part that is missing counts as none of it."""
    given = number(input_tokens), number(output_tokens)
    if given == (None, None):
        return None
    return Usage(
        input_tokens=given[0] or 0,
        output_tokens=given[1] or 0,
        cache_read_tokens=number(cache_read) or 0,
        cache_write_tokens=number(cache_write) or 0,
        reasoning_tokens=number(reasoning) or 0,
    )


def gimbal_part(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what our own attributes say, whatever dialect the rest speaks: feature and used versions."""
    refs = attributes.get("gimbal.refs")
    return {
        "feature": text(attributes.get("gimbal.feature")),
        "refs": [str(ref) for ref in refs] if isinstance(refs, list) else [],
    }
