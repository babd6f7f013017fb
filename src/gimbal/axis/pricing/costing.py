"""The arithmetic of cost: each token once, in exact decimals; a class without a price is never free."""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from operator import attrgetter
from typing import Any

from gimbal.axis.pricing.model import Cost, LongContext, Price, Usage

_MILLION = Decimal(1_000_000)
# More digits than a rate, a count of tokens and an exchange rate have together.
_EXACT = Context(prec=80)
_multiply, _divide, _plus = _EXACT.multiply, _EXACT.divide, _EXACT.add
# What a class without a rate of its own costs: as the first of these that has one; then it is unpriced.
_FALL_BACK: Mapping[str, tuple[str, ...]] = {
    "cache_read": ("input",),
    "cache_write": ("input",),
    "cache_write_5m": ("cache_write", "input"),
    "cache_write_30m": ("cache_write", "input"),
    "image_input": ("input",),
    "reasoning": ("output",),
}
# A prompt is cached from its beginning: what is above a threshold is what comes last here.
_IN_ORDER = (
    "cache_read",
    "audio_cache_read",
    "cache_write_12h",
    "cache_write_1h",
    "cache_write_30m",
    "cache_write_5m",
    "cache_write",
    "image_input",
    "audio_input",
    "input",
)
_SPOKEN = ("output", "reasoning", "audio_output", "image_output")
_ALL = (*_IN_ORDER, *_SPOKEN)
_COUNTS: Mapping[tuple[str, ...], Callable[[Usage], tuple[int, ...]]] = {
    names: attrgetter(*names) for names in (_IN_ORDER, _ALL)
}
_NOTHING = Decimal(0)
_counts = _COUNTS[_ALL]


class _NoPriceError(Exception):
    """A class of tokens that the price does not name."""


def cost(price: Price, usage: Usage, book_version: str) -> Cost:
    """Return the cost of a plausible usage in the price's currency: each token is counted in exactly one class."""
    long = price.long_context
    parts = {"input": _NOTHING, "output": _NOTHING}
    try:
        if long is None and not usage.requests:
            # Nearly every call comes this way.
            amount = _NOTHING
            for name, count in zip(_ALL, _counts(usage), strict=True):
                if count:
                    part = parts[name] = _divide(
                        _multiply(getattr(price, name, None) or _rate(price, price, name), count), _MILLION
                    )
                    amount = _plus(amount, part)
            return Cost(amount=amount, parts=parts, book_version=book_version)
        above = usage.input_tokens - long.above if long else 0
        if long and above > 0 and long.of == "request":
            _add(parts, long, price, usage, _ALL)
        elif long and above > 0:
            under, over = _split(usage, long.above)
            _add(parts, price, price, under, _ALL)
            _add(parts, long, price, over, _IN_ORDER)
        else:
            _add(parts, price, price, usage, _ALL)
        if usage.requests:
            parts |= {tool: _per_use(price, tool) * count for tool, count in usage.requests.items() if count}
    except _NoPriceError as error:
        return Cost(amount=None, book_version=book_version, unpriced_reason=f"no_price:{error}")
    return Cost(amount=_sum(parts), parts=parts, book_version=book_version)


def in_dollars(found: Cost, usd: Decimal) -> Cost:
    """Return a cost that is in another currency in US dollars, to the last digit."""
    parts = {name: _EXACT.multiply(part, usd) for name, part in found.parts.items()}
    return Cost(amount=_sum(parts), parts=parts, book_version=found.book_version)


def _sum(parts: Mapping[str, Decimal]) -> Decimal:
    amount = _NOTHING
    for part in parts.values():
        amount = _plus(amount, part)
    return amount


def _add(
    parts: dict[str, Decimal], rates: Price | LongContext, price: Price, usage: Usage, names: tuple[str, ...]
) -> None:
    for name, count in zip(names, _COUNTS[names](usage), strict=True):
        if count:
            part = _divide(_multiply(_rate(rates, price, name), count), _MILLION)
            before = parts.get(name)
            parts[name] = _plus(before, part) if before else part


def _per_use(price: Price, tool: str) -> Decimal:
    if tool not in price.requests:
        raise _NoPriceError(tool)
    return price.requests[tool]


def _rate(rates: Price | LongContext, price: Price, name: str) -> Decimal:
    """Return what a million tokens of a class cost."""
    if rates is not price and name in _SPOKEN and rates.output is None:
        rates = price
    rate: Decimal | None = getattr(rates, name, None)
    if rate is not None:  # nearly always
        return rate
    for place in _FALL_BACK.get(name, ()):
        rate = getattr(rates, place, None)
        if rate is not None:
            return rate
    raise _NoPriceError(name)


def _split(usage: Usage, above: int) -> tuple[Usage, Usage]:
    """Return what is up to a threshold of input, with all output, and the input above it."""
    under: dict[str, Any] = {name: getattr(usage, name) for name in _SPOKEN}
    over: dict[str, Any] = {}
    for name in _IN_ORDER:
        count = getattr(usage, name)
        under[name] = min(count, above)
        over[name] = count - under[name]
        above -= under[name]
    return Usage(**under), Usage(**over)
