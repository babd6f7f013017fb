"""What a span costs: priced once, saved where an own cache answered, nothing where another span counts its call.

All that it says of money comes from its other columns and a price book, so that the same book gives the same again.
"""

from decimal import Decimal

import msgspec

from gimbal.axis.pricing.service import FREE_PROVIDERS, Pricer
from gimbal.axis.traces.model import Span
from gimbal.kernel.clock import from_us

_NOTHING = Decimal(0)


def charged(span: Span, prices: Pricer) -> Span:
    """Return a span with its cost, or why that is not known; one that has either stays as it is."""
    if span.cached:
        return _answered_by_cache(span, prices)
    if span.usage is None or span.cost is not None or span.unpriced:
        if span.kind == "llm" and span.cost is None and not span.unpriced and span.provider not in FREE_PROVIDERS:
            return msgspec.structs.replace(span, unpriced="no_usage")
        return span
    cost = prices.price(span.provider, span.model, from_us(span.start_us), span.usage)
    return msgspec.structs.replace(
        span, cost=cost.amount, parts=cost.parts, unpriced=cost.unpriced_reason, price_book=cost.book_version
    )


def _answered_by_cache(span: Span, prices: Pricer) -> Span:
    if span.cost is not None:
        return span
    cost = prices.price(span.provider, span.model, from_us(span.start_us), span.usage)
    book = "" if span.usage is None else cost.book_version
    return msgspec.structs.replace(span, cost=_NOTHING, saved=cost.amount, price_book=book)


def uncharged(span: Span) -> Span:
    """Return a span of which nothing was priced yet, to be `charged` anew."""
    return msgspec.structs.replace(span, billable=True, cost=None, parts={}, saved=None, unpriced="", price_book="")


def once(span: Span) -> Span:
    """Return a span whose call another span counts."""
    return msgspec.structs.replace(span, billable=False, cost=None, parts={}, saved=None, unpriced="")


def reopened(old: Span, new: Span) -> Span:
    """Return a span that is to be counted anew: without its cost where that hangs on something that changed."""
    if _priced_by(old) == _priced_by(new):
        return msgspec.structs.replace(new, billable=True)
    return uncharged(new)


def _priced_by(span: Span) -> tuple[object, ...]:
    return span.provider, span.model, span.usage, span.kind, span.cached
