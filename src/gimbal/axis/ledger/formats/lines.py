"""Lines of a provider's export, and reading its fields: exactly, or with the reason why a line cannot be taken."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from blake3 import blake3

_MOST_TOKENS = 2**53
_MOST_MONEY = Decimal(10) ** 12
_LONGEST = 300
_DAY_S = 86_400
_EARLIEST = date(2015, 1, 1)
_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")


class LineError(Exception):
    """Why one line cannot be taken."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of one model on one day, or of a part of it."""

    number: int
    """In the file, from 1."""
    day: date
    """In UTC."""
    model: str
    """As the provider writes it; `*`: of all models together."""
    detail: tuple[str, ...] = ()
    """What else the line is told by: project, key, tier, hour …"""
    tier: str = ""
    cost: Decimal | None = None
    """As it stands there, in `currency`."""
    currency: str = "USD"
    input_tokens: int | None = None
    """All input, cached included."""
    output_tokens: int | None = None
    calls: int | None = None


class Read(msgspec.Struct, kw_only=True):
    """What was read of an export."""

    lines: list[Line] = []
    rejected: list[tuple[int, str]] = []
    shape: str = ""
    """How finely it parts its figures."""


def key_of(line: Line, repeat: int) -> str:
    """Return what tells a line of a day and model from the others; `repeat` counts those that say the same of themselves."""
    return blake3(msgspec.json.encode([line.detail, line.tier, repeat])).hexdigest(length=16)


def told(value: Any, what: str) -> str:
    """Return a name; raise LineError for what is none."""
    if not isinstance(value, str) or not value.strip():
        raise LineError(f"{what} is missing")
    if len(value) > _LONGEST or not value.isprintable():
        raise LineError(f"{what} is no name")
    return value.strip()


def count(value: Any, what: str) -> int:
    """Return a count of tokens or calls; raise LineError."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if type(value) is not int or not 0 <= value < _MOST_TOKENS:
        raise LineError(f"{what} is {_short(value)}, not a count")
    return value


def money(value: Any, what: str = "the amount") -> Decimal:
    """Return an amount, exactly; a credit is below zero. Raise LineError."""
    text = value.strip().removeprefix("$") if isinstance(value, str) else value
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise LineError(f"{what} is {_short(value)}, not an amount")
    if isinstance(text, str) and not _PLAIN.fullmatch(text):
        raise LineError(f"{what} is {_short(value)}, not an amount")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise LineError(f"{what} is {_short(value)}, not an amount") from None
    if not amount.is_finite() or abs(amount) > _MOST_MONEY:
        raise LineError(f"{what} is {_short(value)}, not an amount")
    return amount


def currency(value: Any) -> str:
    """Return the code of a currency; raise LineError."""
    text = str(value or "USD").strip().upper()
    if not (len(text) == 3 and text.isascii() and text.isalpha()):
        raise LineError(f"{_short(value)} is no currency")
    return text


def day_of(value: Any, what: str = "the day") -> date:
    """Return the day in UTC of a day, a moment or seconds since 1970; raise LineError."""
    found: date | None = None
    try:
        text = value.strip() if isinstance(value, str) else value
        seconds = isinstance(text, int | Decimal) and not isinstance(text, bool)
        if seconds or (isinstance(text, str) and text.isdigit() and len(text) > len("20260131")):
            found = datetime.fromtimestamp(int(text), UTC).date()
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
            found = (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None or not _EARLIEST <= found <= date(2100, 1, 1):
        raise LineError(f"{what} is {_short(value)}, not a day")
    return found


def within_a_day(seconds: float) -> None:
    """Raise LineError for a stretch of time that is longer than a day."""
    if not 0 < seconds <= _DAY_S:
        raise LineError("it covers more than a day")


def seconds_between(start: Any, end: Any) -> float:
    """Return how long a bucket is, by seconds since 1970 or RFC 3339; a day when its end is not told."""
    if end in (None, ""):
        return _DAY_S
    try:
        if isinstance(start, int) and isinstance(end, int):
            return end - start
        if str(start).isdigit():
            return int(end) - int(start)
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))) / timedelta(seconds=1)
    except (ValueError, TypeError, OverflowError):
        raise LineError("its times cannot be read") from None


def parts(row: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Return what a row says in some fields, as texts."""
    return tuple("" if row.get(name) is None else str(row[name])[:_LONGEST] for name in names)


def used(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> str:
    """Return those fields in which any of the rows says something: by these the figures are parted."""
    rows = list(rows)
    return ",".join(name for name in names if any(row.get(name) not in (None, "") for row in rows))


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
