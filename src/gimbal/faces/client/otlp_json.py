"""Values of a span as OTLP JSON has them: whatever a program hands in becomes something, small enough, without raising."""

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

import msgspec

from gimbal.faces.client.wire import jsonable, text

Row = dict[str, Any]
# What one span may hold: far more than a conversation, far less than a data set that was passed to a function.
SPAN_BYTES = 8 * 2**20
_INT64 = 2**63
_DEPTH = 100
_EACH = 16
_START = 1000


def weight(value: Any, most: int = SPAN_BYTES) -> int:
    """Return about how many bytes the value has as JSON; stop counting beyond `most`. Nothing is copied."""
    total = 0
    left: list[tuple[Any, int]] = [(value, 0)]
    while left and total <= most:
        item, depth = left.pop()
        total += _EACH
        if isinstance(item, str | bytes | bytearray):
            total += len(item)
        elif depth < _DEPTH and isinstance(item, Mapping):
            pairs = cast("Mapping[Any, Any]", item)
            total += _EACH * len(pairs)
            if total <= most:
                left += [(part, depth + 1) for pair in pairs.items() for part in pair]
        elif depth < _DEPTH and isinstance(item, list | tuple | AbstractSet):
            parts = cast("list[Any]", item)
            total += _EACH * len(parts)
            if total <= most:
                left += [(part, depth + 1) for part in parts]
        else:
            size = getattr(item, "nbytes", 0)
            total += size if isinstance(size, int) else 0
    return total


def written(value: Any, most: int = SPAN_BYTES) -> tuple[Row, int, bool]:
    """Return the value, its bytes, and whether it was cut; why it has none where it cannot be written."""
    try:
        cut = False
        if isinstance(value, str):
            cut = len(value) > most
            row = {"stringValue": text(value[:_START] + "…" if cut else value)}
        elif weight(value, most) > most:
            row, cut = {"stringValue": f"<{type(value).__name__} of more than {most:,} bytes>"}, True
        else:
            row = _value(value)
        size = len(msgspec.json.encode(row))
    except Exception as problem:  # noqa: BLE001 - a user's __str__ may raise anything
        row, cut = {"stringValue": f"<{type(value).__name__} that cannot be written: {type(problem).__name__}>"}, False
        size = sys.getsizeof(row["stringValue"])
    return row, size, cut


def _value(value: Any) -> Row:
    """Return an attribute's value as OTLP JSON has it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return {"intValue": str(int(value))}
    if isinstance(value, str):
        return {"stringValue": text(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in cast("list[Any]", value)]}}
    plain = jsonable(value)
    if isinstance(plain, float):
        return {"doubleValue": plain}
    return {"stringValue": plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()}
