"""The price book: finds the price of a model on a day and turns usage into cost."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, Protocol

from gimbal.axis.pricing.book import SHIPPED, read_book
from gimbal.axis.pricing.costing import cost, in_dollars
from gimbal.axis.pricing.lookup import Lookup
from gimbal.axis.pricing.model import Cost, Exchange, Price, Usage
from gimbal.kernel.money import ZERO

BOOK = SHIPPED

# What runs in this process or on this machine costs nothing per call, unless somebody gives it a price.
FREE_PROVIDERS = frozenset({"local"})
FREE = "rule: local"
"""What stands in the place of a book's version then."""


class Resolved(NamedTuple):
    """The price that counts for a call."""

    price: Price
    version: str
    """What leads to this very price again: the book, and the overrides that were used."""
    usd: Decimal | None
    """What one unit of its currency is worth; None when that is not known."""


class Pricer(ABC):
    """Turns usage into cost; a book by itself, or what a project pays."""

    version: str

    @abstractmethod
    def resolve(self, provider: str, model: str, at: datetime, tier: str = "standard") -> Resolved | None:
        """Return the price in force at a moment; None when there is none."""

    def price(self, provider: str, model: str, at: datetime, usage: Usage | None) -> Cost:
        """Return what a call costs; the amount is None with a reason when that cannot be known."""
        if usage is None:
            return self._unknown("no_usage")
        if not usage.plausible():
            return self._unknown("implausible_usage")
        found = self.resolve(provider, model, at, usage.tier)
        if found is None:
            if provider.lower() in FREE_PROVIDERS:
                return Cost(amount=ZERO, parts={"input": ZERO, "output": ZERO}, book_version=FREE)
            known = usage.tier != "standard" and self.resolve(provider, model, at) is not None
            return self._unknown(f"no_price:{usage.tier}" if known else "unknown_model")
        amount = cost(found.price, usage, found.version)
        if found.price.currency == "USD" or amount.amount is None:
            return amount
        if found.usd is None:
            return Cost(amount=None, book_version=found.version, unpriced_reason="no_exchange_rate")
        return in_dollars(amount, found.usd)

    def _unknown(self, reason: str) -> Cost:
        return Cost(amount=None, book_version=self.version, unpriced_reason=reason)


class PriceBook(Lookup[Price], Pricer):
    """The prices of one version of a book."""

    def __init__(self, prices: Sequence[Price], version: str, exchange: Sequence[Exchange] = ()) -> None:
        super().__init__(prices)
        self.version = version
        self._exchange = sorted(exchange, key=lambda rate: rate.valid_from, reverse=True)

    @classmethod
    def read(cls, path: Path = BOOK) -> "PriceBook":
        """Read a book in TOML; raise BadInput when it is not right."""
        book = read_book(path.read_text(encoding="utf-8"), path.name)
        return cls(book.prices, book.version, book.exchange)

    async def of(self, project: str) -> Pricer:
        """Return itself: a book alone is the same for every project."""
        return self

    def resolve(self, provider: str, model: str, at: datetime, tier: str = "standard") -> Resolved | None:
        """Return the price in force at a moment; None when there is none."""
        found = self.find(provider, model, at, tier)
        if found is None:
            return None
        if found.currency == "USD":
            return Resolved(found, self.version, None)
        return Resolved(found, self.version, self.rate(found.currency, at.astimezone(UTC).date()))

    def rate(self, currency: str, day: date) -> Decimal | None:
        """Return what one unit of a currency was worth in US dollars on a day; None when that is not known."""
        for rate in self._exchange:
            if rate.currency == currency and rate.valid_from <= day:
                return rate.usd
        return None

    def currencies(self) -> set[str]:
        """Return the currencies that it has rates of."""
        return {rate.currency for rate in self._exchange}


class PriceSource(Protocol):
    """Where those who price calls find what a project pays; a PriceBook alone is one, too."""

    async def of(self, project: str) -> Pricer:
        """Return the prices of a project as they are now, from memory when that is at most a second old."""
        ...
