"""What every dialect returns, and the small readers they share."""

from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Document


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect understood of a span; the rest stays in its attributes."""

    dialect: str
    kind: str = "other"
    provider: str = ""
    model: str = ""
    usage: Usage | None = None
    first_token_us: int | None = None
    finish: str = ""
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
    """Return a count, also from text or a float as some senders write it; None when it is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def first(attributes: dict[str, Any], *names: str) -> Any:
    """Return the first of several attributes that is there."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def json_value(value: Any) -> Any:
    """Return the JSON in a text attribute, or the value itself when it is none."""
    if not isinstance(value, str) or value[:1] not in "[{":
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


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
