"""For what and for whom a call is made: by headers of ours, by what its wire has a place for, else by the key's defaults."""

from collections.abc import Mapping
from typing import Any, cast

from gimbal.generative.gateway.call import Attribution, TraceContext, new_trace
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.errors import BadInput
from gimbal.kernel.ids import parse_traceparent

_MOST_TAGS, _MOST_TEXT = 50, 256
_HEADERS = [(name, f"x-gimbal-{name}") for name in ("feature", "user", "session", "prompt", "endpoint")]
_NOTHING: Mapping[str, Any] = {}
_MOST_TIMEOUT_MS = 24 * 3600 * 1000


def attributed(
    asked: Asked, headers: Mapping[str, str], endpoint: str, defaults: Mapping[str, Any] = _NOTHING
) -> Attribution:
    """Return the attribution; raise BadInput for what is no text or too long. `endpoint` is the path that was called.

    `x-gimbal-feature`, `-user`, `-session`, `-prompt`, `-endpoint` and `-tags` come before the wire's own words, and the
    `defaults` of the key after them.
    """
    said = asked.metadata
    elsewhere = bool(said or defaults or asked.user)
    found: dict[str, Any] = {"endpoint": endpoint}
    for name, header in _HEADERS:
        value: Any = headers.get(header)
        if not value and elsewhere:
            value = (asked.user if name == "user" else "") or said.get(name) or defaults.get(name)
        if not value:
            continue
        if not isinstance(value, str) or len(value) > _MOST_TEXT:
            raise BadInput(
                f"The {name} is not a text of at most {_MOST_TEXT} characters.",
                where=f"metadata.{name}",
                todo="Shorten it.",
            )
        found[name] = value
    tags = _tags(headers.get("x-gimbal-tags") or said.get("tags") or defaults.get("tags"))
    return Attribution(tags=tags, **found)


def _tags(given: Any) -> tuple[str, ...]:
    """Return the tags in a list, or between the commas of a text."""
    if not given:
        return ()
    rows = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    words = [row.strip() if isinstance(row, str) else "" for row in cast("list[Any]", rows)]
    found = tuple(dict.fromkeys(word for word in words if word))
    if len(found) > _MOST_TAGS or max(map(len, found), default=0) > _MOST_TEXT:
        raise BadInput(
            f"A call may have {_MOST_TAGS} tags of {_MOST_TEXT} characters.", where="metadata.tags", todo="Send fewer."
        )
    return found


def traced(headers: Mapping[str, str]) -> TraceContext:
    """Return where the call stands by `traceparent`; one that is not valid starts a new trace: so the standard asks."""
    given = headers.get("traceparent")
    parent = parse_traceparent(given) if given else None
    return TraceContext(trace_id=parent[0], parent_id=parent[1], remote=True) if parent else new_trace()


def waits_s(headers: Mapping[str, str]) -> float | None:
    """Return how long the caller waits by `x-gimbal-timeout-ms`; None where it does not say. Raise BadInput for no number."""
    given = headers.get("x-gimbal-timeout-ms")
    if not given:
        return None
    if not given.isdecimal() or not 0 < int(given) <= _MOST_TIMEOUT_MS:
        raise BadInput(
            f"{given[:40]!r} is not a number of milliseconds from 1 to {_MOST_TIMEOUT_MS}.",
            where="x-gimbal-timeout-ms",
            todo="Give a whole number.",
        )
    return int(given) / 1000
