"""Calls that stay of an erased user, where costs are kept: rows that say when within the hour, what model, and how much.

They are spans of their own, each in a trace of its own, so that every sum of calls, tokens and costs is what it was. Ids,
names, texts, tags and times are not theirs any more. What was one call stays one: of several reports of it the one that
counts is taken.
"""

from collections.abc import Mapping

from gimbal.axis.retention.subject import marked
from gimbal.axis.traces.counting import NEWEST, REPEATED, repeats

DIALECT = "gimbal.erased"
_HOUR_US = 3_600_000_000
_START = f"intDiv(s.start_us, {_HOUR_US}) * {_HOUR_US}"
# Texts that say what was paid for, not for whom.
_KEPT = frozenset(
    {
        "project", "kind", "status", "provider", "model", "unpriced", "price_book", "tier", "feature", "endpoint", "key_id",
        "finish",
    }
)  # fmt: skip
_NUMBERED = "lower(hex(SHA256(concat({secret:String}, s.trace_id, ' ', s.span_id))))"
_CHANGED = {
    "trace_id": f"substring({_NUMBERED}, 1, 32)",
    "span_id": f"substring({_NUMBERED}, 33, 16)",
    "is_root": "1",
    "remote_parent": "0",
    "name": "'erased'",
    "start_us": _START,
    "end_us": f"{_START} + s.end_us - s.start_us",
    "dialect": f"'{DIALECT}'",
    "randomness": "NULL",
    "truncated": "0",
    "content_expired": "1",
    "written_us": "toUnixTimestamp64Micro(now64(6))",
}


def statement(columns: Mapping[str, str]) -> str:
    """Return the insert of anonymous rows for the calls of all traces that are marked; `columns` are those of spans."""
    within = f"project = {{project:String}} AND {marked('trace_id')}"
    values = ", ".join(f"{_value(name, kind)} AS {name}" for name, kind in columns.items())
    names = ", ".join(columns)
    return (
        f"INSERT INTO spans ({names}) WITH {repeats(within)} SELECT {values} "
        f"FROM (SELECT * FROM spans WHERE {within} {NEWEST}) AS s "
        f"WHERE s.billable = 1 AND s.weight > 0 AND (isNotNull(s.input_tokens) OR s.unpriced != '' OR isNotNull(s.cost)) "
        f"AND NOT ({REPEATED})"
    )


def _value(name: str, kind: str) -> str:
    if name in _CHANGED:
        return _CHANGED[name]
    if name in _KEPT:
        return f"s.{name}"
    if "String" in kind and not kind.startswith("Map("):
        return "[]" if kind.startswith("Array") else "''"
    return f"s.{name}"
