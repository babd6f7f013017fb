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
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


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
