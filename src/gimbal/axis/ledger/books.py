"""The prices that hold for a project now, and what currencies are worth by them."""

from datetime import date
from decimal import Decimal

from gimbal.axis.pricing.layers import Layers
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.service import PriceBook, Pricer, PriceSource
from gimbal.kernel.context import Context


async def current_book(ctx: Context) -> Pricer:
    """Return the prices by which calls of the project are charged from now on, not those of a moment ago."""
    if ctx.services.has(Prices):
        ctx.get(Prices).snapshot.forget()
    return await ctx.get(PriceSource).of(ctx.project or "default")


def mark_of(ctx: Context, prices: Pricer) -> str:
    """Return what changes whenever prices do: the book, and how often prices of one's own were changed."""
    revision = ctx.get(Prices).snapshot.state.revision if ctx.services.has(Prices) else 0
    return f"{prices.version} (revision {revision})" if revision else prices.version


def in_dollars(prices: Pricer, currency: str, day: date) -> Decimal | None:
    """Return what one unit of a currency was worth on a day; None when no book knows."""
    if currency == "USD":
        return Decimal(1)
    books = prices.books if isinstance(prices, Layers) else (prices,)
    rates = (book.rate(currency, day) for book in books if isinstance(book, PriceBook))
    return next((rate for rate in rates if rate is not None), None)
