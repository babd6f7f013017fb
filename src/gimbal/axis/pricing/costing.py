"""The arithmetic of cost: each token once, in exact decimals; a class without a price is never free."""

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from gimbal.axis.pricing.model import BillableUsage, Cost, LongContext, Price, Usage

_MILLION = Decimal(1_000_000)
# More digits than a rate, a count of tokens and an exchange rate have together.
_EXACT = Context(prec=80)
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


class _NoPriceError(Exception):
    """A class of tokens that the price does not name."""


def cost(price: Price, usage: Usage | BillableUsage, book_version: str) -> Cost:
    """Return the cost of a plausible usage in the price's currency: each token is counted in exactly one class."""
    if isinstance(usage, BillableUsage):
        return _by_class(price, usage, book_version)
    if price.long_context is not None or price.reasoning is not None:
        return _by_class(price, BillableUsage.of(usage), book_version)
    # Nearly every span comes this way.
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    parts = {
        "input": price.input * (usage.input_tokens - read - write) / _MILLION,
        "output": price.output * usage.output_tokens / _MILLION,
    }
    if read:
        parts["cache_read"] = (price.input if price.cache_read is None else price.cache_read) * read / _MILLION
    if write:
        parts["cache_write"] = (price.input if price.cache_write is None else price.cache_write) * write / _MILLION
    return Cost(amount=sum(parts.values(), Decimal(0)), parts=parts, book_version=book_version)


def in_dollars(found: Cost, usd: Decimal) -> Cost:
    """Return a cost that is in another currency in US dollars, to the last digit."""
    parts = {name: _EXACT.multiply(part, usd) for name, part in found.parts.items()}
    amount = Decimal(0)
    for part in parts.values():
        amount = _EXACT.add(amount, part)
    return Cost(amount=amount, parts=parts, book_version=found.book_version)


def _by_class(price: Price, usage: BillableUsage, book_version: str) -> Cost:
    parts = {"input": Decimal(0), "output": Decimal(0)}
    long = price.long_context
    above = usage.input_tokens - long.above if long else 0
    try:
        if long and above > 0 and long.of == "request":
            _add(parts, long, price, usage, (*_IN_ORDER, *_SPOKEN))
        elif long and above > 0:
            under, over = _split(usage, long.above)
            _add(parts, price, price, under, (*_IN_ORDER, *_SPOKEN))
            _add(parts, long, price, over, _IN_ORDER)
        else:
            _add(parts, price, price, usage, (*_IN_ORDER, *_SPOKEN))
        parts |= {tool: _per_use(price, tool) * count for tool, count in usage.requests.items() if count}
    except _NoPriceError as error:
        return Cost(amount=None, book_version=book_version, unpriced_reason=f"no_price:{error}")
    amount = Decimal(0)
    for part in parts.values():
        amount = _EXACT.add(amount, part)
    return Cost(amount=amount, parts=parts, book_version=book_version)


def _add(
    parts: dict[str, Decimal], rates: Price | LongContext, price: Price, usage: BillableUsage, names: tuple[str, ...]
) -> None:
    for name in names:
        if count := getattr(usage, name):
            charged, rate = _rate(rates, price, name)
            part = _EXACT.divide(_EXACT.multiply(rate, Decimal(count)), _MILLION)
            parts[charged] = _EXACT.add(parts.get(charged, Decimal(0)), part)


def _per_use(price: Price, tool: str) -> Decimal:
    if tool not in price.requests:
        raise _NoPriceError(tool)
    return price.requests[tool]


def _rate(rates: Price | LongContext, price: Price, name: str) -> tuple[str, Decimal]:
    """Return the part of the cost that a class belongs to and its rate; cached and reasoned tokens show as such."""
    if name in _SPOKEN and rates.output is None:
        rates = price
    for place in (name, *_FALL_BACK.get(name, ())):
        rate = getattr(rates, place, None)
        if rate is not None:
            return (place if place == "output" else name), rate
    raise _NoPriceError(name)


def _split(usage: BillableUsage, above: int) -> tuple[BillableUsage, BillableUsage]:
    """Return what is up to a threshold of input, with all output, and the input above it."""
    under: dict[str, Any] = {name: getattr(usage, name) for name in _SPOKEN}
    over: dict[str, Any] = {}
    for name in _IN_ORDER:
        count = getattr(usage, name)
        under[name] = min(count, above)
        over[name] = count - under[name]
        above -= under[name]
    return BillableUsage(**under), BillableUsage(**over)
