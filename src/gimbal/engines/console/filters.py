"""How values are written for a person: numbers, money, times, sizes. What is missing is said, never shown as zero.

`console.Console` gives these to the templates as filters.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from markupsafe import Markup, escape

from gimbal.kernel.clock import Clock, from_us
from gimbal.kernel.money import format_money

Moment = datetime | int
"""Aware datetime, or whole microseconds since 1970 as columns hold them."""
MISSING = "\N{EM DASH}"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((31_557_600, "y"), (2_629_800, "mo"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def number(value: float | Decimal | None, digits: int = 4) -> str:
    """Write a number with thousands separators and at most `digits` significant digits after the point's side."""
    if value is None:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if size != 0 and (size < 1e-4 or size >= 1e15):
        return f"{value:.{digits - 1}e}".replace("-", "−")
    places = max(0, digits - 1 - (math.floor(math.log10(size)) if size >= 1 else -1)) if size else 0
    text = f"{value:,.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def compact(value: float | None) -> str:
    """Write a large count shortly: 12.3 k, 4.1 M."""
    if value is None:
        return MISSING
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= scale:
            return f"{value / (1e3 if unit == 'k' else scale):.1f}".removesuffix(".0") + f" {unit}"
    return number(value)


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share between 0 and 1 as a percentage."""
    return MISSING if value is None else f"{value * 100:.{digits}f} %".replace("-", "−")


def money(value: Decimal | None) -> str:
    """Write dollars; None is `unknown`."""
    return format_money(value)


def interval(estimate: Any, digits: int = 3) -> str:
    """Write an estimate with its interval: `0.713 [0.705, 0.721]`.

    Takes `(value, low, high)` or anything with `value`, `low` and `high`; a missing bound says so.
    """
    if estimate is None:
        return MISSING
    value, low, high = (
        (estimate[0], estimate[1], estimate[2])
        if isinstance(estimate, tuple | list)
        else (estimate.value, estimate.low, estimate.high)
    )
    if value is None:
        return MISSING
    bounds = "no interval" if low is None or high is None else f"[{_fixed(low, digits)}, {_fixed(high, digits)}]"
    return f"{_fixed(value, digits)} {bounds}"


def _fixed(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else number(value)


def duration(seconds: float | None) -> str:
    """Write a length of time given in seconds: 840 µs, 12 ms, 3.4 s, 5 min 12 s, 2 h 03 min, 4 d 2 h."""
    if seconds is None:
        return MISSING
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def size(value: int | None) -> str:
    """Write a number of bytes in binary units."""
    if value is None:
        return MISSING
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{value} B" if unit == 0 else f"{amount:.3g} {_UNITS[unit]}"


def short_id(value: str | None, length: int = 8) -> str:
    """Write the telling part of an id: the end of a UUIDv7 (its start is the time), the start of a digest or hex id."""
    if not value:
        return MISSING
    scheme, colon, rest = value.rpartition(":")
    if len(rest) <= length:
        return value
    if len(rest) == 36 and rest.count("-") == 4:
        return rest[-length:]
    return f"{scheme}{colon}{rest[:length]}"


def pretty_json(value: Any) -> str:
    """Write a value, or JSON text, indented; text that is no JSON stays as it is."""
    if isinstance(value, bytes | str):
        try:
            return msgspec.json.format(value if isinstance(value, str) else value.decode(), indent=2)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return value if isinstance(value, str) else repr(value)
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()


def moment(value: Moment) -> datetime:
    """Return an aware UTC datetime."""
    return from_us(value) if isinstance(value, int) else value.astimezone(UTC)


def time(value: Moment | None) -> Markup:
    """Write a moment in UTC to the second, as a `time` element with the microseconds in it."""
    if value is None:
        return Markup("<span class='missing'>{}</span>").format(MISSING)
    at = moment(value)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S.%f UTC"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def make_ago(clock: Clock) -> Callable[[Moment | None], Markup]:
    """Return the filter that writes how long ago (or in how long) a moment is, by `clock`."""

    def ago(value: Moment | None) -> Markup:
        if value is None:
            return Markup("<span class='missing'>{}</span>").format(MISSING)
        at = moment(value)
        seconds = (clock.now() - at).total_seconds()
        text = _distance(abs(seconds))
        words = text if text == "now" else f"{text} ago" if seconds > 0 else f"in {text}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S.%f UTC"), words
        )

    return ago


def _distance(seconds: float) -> str:
    for scale, unit in _SPANS:
        if seconds >= scale:
            return f"{int(seconds // scale)} {unit}"
    return "now"


def day(value: Moment | None) -> str:
    """Write the UTC day of a moment."""
    return MISSING if value is None else moment(value).strftime("%Y-%m-%d")


def excerpt(value: str | None, length: int = 120) -> str:
    """Cut a long text before `length` characters, at a word where one ends near, with an ellipsis.

    Whitespace becomes single spaces.
    """
    if value is None:
        return MISSING
    flat = " ".join(value.split())
    if len(flat) <= length:
        return flat
    room = length - 1
    end = flat.rfind(" ", room - 24 if room > 48 else room, room + 1)
    return flat[: end if end > 0 else room].rstrip(" ,;:") + "…"


def codes(value: str) -> Markup:
    """Write words with `code` between backticks, as docstrings have it."""
    parts = value.split("`")
    if len(parts) % 2 == 0:
        return escape(value)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))
