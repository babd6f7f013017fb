"""How one value looks in a terminal: times, sizes, money, references, estimates; missing is a dash, never zero."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec

from gimbal.kernel.money import format_money

MISSING = "–"
_MONEY = frozenset({"cost", "amount"})
_SIZES = frozenset({"size", "bytes"})
_PARTS = {"_us": 1e-6, "_ms": 1e-3, "_s": 1.0}
# Microseconds: a larger number is a moment, not a duration.
_YEAR_2000_US = 946_684_800_000_000
_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
_REF = frozenset({"kind", "name", "number"})


def title(name: str, sample: Any) -> str:
    """Return the heading of a field: words, and UTC where its values are times."""
    for suffix in _PARTS:
        if name.endswith(suffix) and _is_number(sample):
            name = name.removesuffix(suffix)
    words = name.replace("_", " ")
    return f"{words.removesuffix(' at')} (UTC)" if moment(sample) else words


def since(value: Any, now: datetime) -> str:
    """Return how long ago a time was in a few characters, and the day for what is older than a month."""
    then = moment(value)
    if then is None:
        return MISSING
    seconds = (now - then).total_seconds()
    if not 0 <= seconds < 30 * 86_400:
        return f"{then:%Y-%m-%d}"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def cell(value: Any, name: str = "") -> str:
    """Return a value as short text on one line; `name` is the field that it stands in."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, name)
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, Mapping):
        return _pairs(cast("Mapping[str, Any]", value))
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in cast("list[Any]", value))
    return clean(str(value))


def moment(value: Any) -> datetime | None:
    """Return the time that a text is, or None."""
    if not isinstance(value, str) or len(value) < 20 or value[4:5] != "-" or value[10:11] != "T":
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return None


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago a time was, or how long it is until then, in one unit."""
    seconds = (now - then).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count = int(abs(seconds) // length)
        if count:
            words = f"{count:,} {unit}{'s' if count > 1 else ''}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "now"


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits: 1.2 MB (decimal units)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def duration(seconds: float) -> str:
    """Return a duration in the unit that fits: 12 ms, 3.4 s, 2 min 5 s."""
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs" if seconds else "0 s"


def clean(text: str) -> str:
    """Return text on one line without control characters: what others wrote must not steer this terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def is_short(value: Any) -> bool:
    """Tell whether a value fits into a cell: plain, or a reference, an estimate, a few pairs, a few words."""
    if isinstance(value, Mapping):
        row = cast("Mapping[str, Any]", value)
        return _is_reference(row) or _is_estimate(row) or (0 < len(row) <= 3 and all(map(_is_plain, row.values())))
    if isinstance(value, list | tuple):
        rows = cast("list[Any]", value)
        return 0 < len(rows) <= 3 and all(_is_plain(item) or is_short(item) for item in rows)
    return True


def is_one(value: Any) -> bool:
    """Tell whether a mapping stands for one thing: a reference or an estimate."""
    return isinstance(value, Mapping) and any(
        f(cast("Mapping[str, Any]", value)) for f in (_is_reference, _is_estimate)
    )


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Mapping | list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_reference(row: Mapping[str, Any]) -> bool:
    return set(row) >= _REF and set(row) <= {*_REF, "digest"}


def _is_estimate(row: Mapping[str, Any]) -> bool:
    return {"value", "low", "high", "n"} <= set(row)


def _number(value: float, name: str) -> str:
    if name in _SIZES or name.endswith("_bytes"):
        return size(value)
    if name.endswith("_us") and value > _YEAR_2000_US:
        return f"{datetime.fromtimestamp(value / 1e6, UTC):%Y-%m-%d %H:%M:%S}"
    for suffix, factor in _PARTS.items():
        if name.endswith(suffix) and value >= 0:
            return duration(value * factor)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(value: str, name: str) -> str:
    if name in _MONEY:
        try:
            return format_money(Decimal(value))
        except InvalidOperation:
            return clean(value)
    then = moment(value)
    return f"{then:%Y-%m-%d %H:%M}" if then else clean(value)


def _pairs(row: Mapping[str, Any]) -> str:
    if _is_reference(row):
        return clean(f"{row['kind']}:{row['name']}@v{row['number']}")
    if _is_estimate(row):
        value, low, high = row["value"], row["low"], row["high"]
        if value is None:
            return MISSING
        return f"{value:.4g} [{low:.4g}, {high:.4g}]" if low is not None and high is not None else f"{value:.4g}"
    if set(row) == {"ref", "weight"}:
        # A target of an endpoint; a weight of 1 goes without saying.
        return cell(row["ref"]) + (f" × {row['weight']:g}" if row["weight"] != 1 else "")
    return " ".join(f"{clean(str(k))}={cell(v)}" for k, v in row.items())


def as_json(value: Any) -> str:
    """Return a value as JSON on one line."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def right(values: Sequence[Any], name: str) -> bool:
    """Tell whether a column stands right: numbers and amounts do."""
    known = [value for value in values if value is not None]
    amounts = name in _MONEY
    return bool(known) and all(
        _is_number(value) or (isinstance(value, str) and (amounts or _DECIMAL.fullmatch(value))) for value in known
    )
