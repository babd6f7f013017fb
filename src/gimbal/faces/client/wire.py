"""What scripts hand in, as JSON can carry it: NumPy scalars and arrays, paths, records, numbers that are not finite.

Nothing is lost on the way without a word: what has no JSON form becomes its text, and NaN the text "NaN", as metrics
have it, never null.
"""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

import msgspec

from gimbal.kernel.errors import BadInput

# JSON numbers beyond these are read differently by different programs; as text they stay what they are.
_LEAST, _MOST = -(2**63), 2**64 - 1
_DEPTH = 100


def jsonable(value: Any, where: str = "value") -> Any:
    """Return a copy of a value that is made of plain JSON types; raise BadInput when it is nested too deeply."""
    return _plain(value, where, _DEPTH)


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth == 0:
        raise BadInput(
            "The value is nested too deeply, or holds itself.",
            where=where,
            kept="nothing of this call",
            todo="Log a flatter one.",
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int):
        return int(value) if _LEAST <= value <= _MOST else str(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else _name_of(number)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {text(str(key)): _plain(item, where, depth - 1) for key, item in pairs}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(item, where, depth - 1) for item in cast("list[Any]", value)]
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.to_builtins(value, enc_hook=str), where, depth - 1)
    # NumPy, pandas and torch know what they are in plain Python.
    listed = getattr(value, "tolist", None) or getattr(value, "item", None)
    if callable(listed) and not isinstance(value, type):
        return _plain(listed(), where, depth - 1)
    return text(str(value))


def _name_of(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def text(value: str) -> str:
    """Return text that UTF-8 can carry: a lone surrogate is written as its escape."""
    return value.encode("utf-8", "backslashreplace").decode()
