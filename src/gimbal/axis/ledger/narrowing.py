"""From what a caller asks for to the filter of the calls that are counted."""

from datetime import datetime

import msgspec

from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.clock import to_us
from gimbal.kernel.errors import BadInput

_FIELDS = {
    "model": "model", "provider": "provider", "feature": "feature", "user": "user_id", "session": "session_id",
    "endpoint": "endpoint", "key": "key_id", "tag": "tags", "ref": "ref",
}  # fmt: skip
DIMENSIONS = tuple(_FIELDS)
_ATTRIBUTE = "attribute:"


def one_value(dimension: str, value: str, *, since: datetime | None, until: datetime | None = None) -> TraceFilter:
    """Return the filter of calls with one value in one dimension, of all where it is empty; raise BadInput."""
    found = TraceFilter(
        since_us=None if since is None else to_us(since), until_us=None if until is None else to_us(until)
    )
    if not dimension:
        return found
    key = dimension.removeprefix(_ATTRIBUTE)
    if key != dimension and key and value and "\0" not in dimension + value:
        return msgspec.structs.replace(found, attributes=((key, value),))
    if dimension not in _FIELDS or "\0" in value:
        raise BadInput(
            f"A cost cannot be told by {dimension!r}.",
            where="dimension",
            todo=f"Choose one of {', '.join(DIMENSIONS)} or attribute:KEY.",
        )
    return msgspec.structs.replace(found, **{_FIELDS[dimension]: (value,) if dimension == "tag" else value})
