"""From what a caller asks for to the filter of the calls that are counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.clock import to_us
from gimbal.kernel.errors import BadInput

_FIELDS = {
    "model": "model", "provider": "provider", "feature": "feature", "user": "user_id", "session": "session_id",
    "endpoint": "endpoint", "key": "key_id", "status": "status", "tag": "tags", "ref": "ref", "prompt": "ref",
}  # fmt: skip
DIMENSIONS = tuple(_FIELDS)
_ATTRIBUTE, _TAG = "attribute:", "tag:"
_MOST = 20


def one_value(dimension: str, value: str, *, since: datetime | None, until: datetime | None = None) -> TraceFilter:
    """Return the filter of calls with one value in one dimension, of all where it is empty; raise BadInput."""
    return narrowed_to([(dimension, value)] if dimension else [], since=since, until=until)


def narrowed_to(
    pairs: Sequence[tuple[str, str]], *, since: datetime | None, until: datetime | None = None
) -> TraceFilter:
    """Return the filter of calls with a value in each of several dimensions; raise BadInput."""
    if len(pairs) > _MOST:
        raise BadInput(f"{len(pairs)} conditions are too many.", where="where", todo=f"Give at most {_MOST}.")
    values: dict[str, Any] = {}
    for dimension, value in pairs:
        name, held = _condition(dimension, value)
        if isinstance(held, tuple):
            values[name] = (*values.get(name, ()), *held)
        elif values.setdefault(name, held) != held:
            raise BadInput(
                f"No call has two values for {dimension!r}.", where="where", todo="Leave one of the two out."
            )
    return TraceFilter(
        since_us=None if since is None else to_us(since), until_us=None if until is None else to_us(until), **values
    )


def read_where(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Read conditions like `model=gpt-4o`; raise BadInput."""
    found: list[tuple[str, str]] = []
    for text in texts:
        dimension, equals, value = text.partition("=")
        if not (dimension and equals and value):
            raise BadInput(f"{text!r} does not say a value.", where="where", todo="Write it like model=gpt-4o.")
        found.append((dimension, value))
    return found


def _condition(dimension: str, value: str) -> tuple[str, Any]:
    """Return the field of the filter that a dimension is, and what it must hold."""
    key = dimension.partition(":")[2]
    fits = bool(key and value) and "\0" not in dimension + value
    if dimension.startswith(_ATTRIBUTE) and fits:
        return "attributes", ((key, value),)
    if dimension.startswith(_TAG) and fits:
        return "tags", (f"{key}:{value}",)
    if dimension not in _FIELDS or not value or "\0" in value:
        raise BadInput(
            f"A cost cannot be told by {dimension!r}.",
            where="dimension",
            todo=f"Choose one of {', '.join(DIMENSIONS)}, tag:KEY or attribute:KEY.",
        )
    return _FIELDS[dimension], (value,) if dimension == "tag" else value


def in_traces(dimension: str, value: str) -> dict[str, str]:
    """Return the filter of the list of traces for a value, by its names."""
    key = dimension.partition(":")[2]
    if dimension.startswith(_ATTRIBUTE):
        return {"attribute": f"{key}:{value}"}
    if dimension.startswith(_TAG):
        return {"tag": f"{key}:{value}"}
    return {"ref" if dimension == "prompt" else dimension: value}
