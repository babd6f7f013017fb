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
    "bedrock": "aws.bedrock", "aws": "aws.bedrock", "amazon-bedrock": "aws.bedrock", "gemini": "gcp.gemini", "google": "gcp.gemini",
    "vertexai": "gcp.vertex_ai", "vertex_ai": "gcp.vertex_ai", "mistral": "mistral_ai", "mistralai": "mistral_ai",
    "xai": "x_ai",
}  # fmt: skip
# Names that only one maker gives.
_MAKERS = (
    ("gpt-", "openai"), ("chatgpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"),
    ("text-embedding-", "openai"), ("claude", "anthropic"), ("gemini", "gcp.gemini"),
)  # fmt: skip
SESSIONS = (
    "gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId", "mlflow.trace.session",
)  # fmt: skip
USERS = (
    "user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId", "mlflow.trace.user",
)  # fmt: skip


MOST_TAGS, MOST_TAG = 50, 256
_TAGS = (
    "gimbal.tags", "tag.tags", "langfuse.trace.tags", "langfuse.tags", "mlflow.trace.tags", "ai.telemetry.metadata.tags",
    "traceloop.association.properties.tags", "litellm.request_tags", "metadata.request_tags",
)  # fmt: skip
# Only the first ones say without doubt that it was the application's cache.
_OWN_HITS = ("gimbal.cache.hit", "litellm.cache_hit", "metadata.cache_hit", "helicone.cache.hit", "portkey.cache.hit")
_HITS = (*_OWN_HITS, "gen_ai.cache.hit", "llm.cache_hit", "cache_hit", "langfuse.observation.metadata.cache_hit")
# Most spans have none of these.
_RARE = frozenset({"gimbal.feature", "gimbal.endpoint", "gimbal.key_id", "gimbal.refs", *_TAGS, *_HITS})
_YES = frozenset({"true", "1", "hit"})
_READS = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.cache.read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)  # fmt: skip


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect understood of a span; the rest stays in its attributes."""

    dialect: str
    kind: str = "other"
    provider: str = ""
    model: str = ""
    usage: Usage | None = None
    cached: bool = False
    """Whether the answer came from the application's own cache."""
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
    endpoint: str = ""
    key_id: str = ""
    tags: list[str] = []
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
    return text(first(a, *SESSIONS))


def user_of(a: dict[str, Any]) -> str:
    """Return the end user, by the same rule."""
    return text(first(a, *USERS))


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


def gimbal_part(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what our own attributes say, whatever dialect the rest speaks, and what others say by the same names.

    That is to whom a call is attributed, which versions it used, and whether a cache of the application answered it.
    """
    if _RARE.isdisjoint(attributes):
        return {}
    refs = attributes.get("gimbal.refs")
    return {
        "feature": text(attributes.get("gimbal.feature")),
        "endpoint": text(attributes.get("gimbal.endpoint"))[:MOST_TAG],
        "key_id": text(attributes.get("gimbal.key_id"))[:MOST_TAG],
        "tags": _tags(attributes),
        "refs": [str(ref) for ref in refs] if isinstance(refs, list) else [],
        "cached": _is_hit(attributes),
    }


def tags_of(given: Any) -> list[str]:
    """Return tags: a list, JSON text of one, or words between commas; each once, in their order, within bounds."""
    found = json_value(given)
    if isinstance(found, str):
        found = found.split(",")
    if not isinstance(found, list):
        return []
    words = (one.strip()[:MOST_TAG] for one in found if isinstance(one, str))
    return list(dict.fromkeys(word for word in words if word))[:MOST_TAGS]


def _tags(attributes: dict[str, Any]) -> list[str]:
    given = [attributes[name] for name in _TAGS if name in attributes]
    return tags_of([tag for value in given for tag in tags_of(value)])


def _is_hit(attributes: dict[str, Any]) -> bool:
    for name in _HITS:
        if name in attributes and str(attributes[name]).lower() in _YES:
            # The provider's cache is meant where it says how much it read: then the call was made.
            return name in _OWN_HITS or not any(number(attributes.get(read)) for read in _READS)
    return False
