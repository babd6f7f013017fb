"""What a project pays: its own prices over those of the installation over the book that was refreshed over the shipped.

Within a layer a name counts before an alias and an alias before a pattern; a layer that has anything for a call is
asked before the next. A factor multiplies what the layers below say.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from gimbal.axis.pricing.lookup import Lookup
from gimbal.axis.pricing.model import Price
from gimbal.axis.pricing.overrides import Override, scaled
from gimbal.axis.pricing.service import PriceBook, Pricer, Resolved

_MOST_SCALED = 4096


class Version(NamedTuple):
    """What a version of a price names: a book and the overrides that were used, those of the installation first."""

    book: str
    overrides: tuple[tuple[bool, int], ...]
    """Of each whether it is the project's, and its number."""

    @classmethod
    def parse(cls, text: str) -> "Version | None":
        """Read `2026-11-01+i2+p3`; None when it is not of that form."""
        book, *marks = text.split("+")
        found = [(mark[0] == "p", int(mark[1:])) for mark in marks if _is_mark(mark)]
        return cls(book, tuple(found)) if book and len(found) == len(marks) else None


def _is_mark(text: str) -> bool:
    return text[:1] in {"p", "i"} and text[1:].isascii() and text[1:].isdigit() and len(text) < 12


class Layers(Pricer):
    """Overrides of a project and of the installation over one or more books."""

    def __init__(self, overrides: Sequence[Lookup[Override]], books: Sequence[PriceBook]) -> None:
        self.version = books[0].version
        self.overrides = tuple(overrides)
        self.books = tuple(books)
        self._scaled: dict[tuple[int, int], tuple[Override, Price, Price]] = {}

    def resolve(self, provider: str, model: str, at: datetime, tier: str = "standard") -> Resolved | None:
        """Return the price in force at a moment; None when there is none."""
        return self._below(0, provider, model, at, tier)

    def _below(self, first: int, provider: str, model: str, at: datetime, tier: str) -> Resolved | None:
        for place in range(first, len(self.overrides)):
            found = self.overrides[place].find(provider, model, at, tier)
            if found is None:
                continue
            if found.price is not None:
                return self._own(found, found.price, at)
            base = self._below(place + 1, provider, model, at, tier)
            if base is None or found.factor is None:
                return base
            price = self._times(found, base.price, found.factor)
            return Resolved(price, f"{base.version}+{found.mark}", base.usd)
        for book in self.books:
            if (listed := book.resolve(provider, model, at, tier)) is not None:
                return listed
        return None

    def _own(self, found: Override, price: Price, at: datetime) -> Resolved:
        if price.currency == "USD" or found.usd is not None:
            return Resolved(price, f"{self.version}+{found.mark}", found.usd)
        day = at.astimezone(UTC).date()
        for book in self.books:
            if (usd := book.rate(price.currency, day)) is not None:
                return Resolved(price, f"{book.version}+{found.mark}", usd)
        return Resolved(price, f"{self.version}+{found.mark}", None)

    def _times(self, found: Override, price: Price, factor: Decimal) -> Price:
        """Return the product, from memory where it was asked for: calls of one model come again and again."""
        key = (id(found), id(price))
        known = self._scaled.get(key)
        if known is None:
            if len(self._scaled) >= _MOST_SCALED:
                self._scaled.clear()
            # Both are held, so that no other object gets their ids.
            known = self._scaled[key] = (found, price, scaled(price, factor))
        return known[2]

    def first(self, provider: str, model: str, at: datetime, tier: str = "standard") -> Override | Price | None:
        """Return the entry of the first layer that has anything for a call."""
        for lookup in self.overrides:
            if (found := lookup.find(provider, model, at, tier)) is not None:
                return found
        return next((price for book in self.books if (price := book.find(provider, model, at, tier))), None)

    def chain(
        self, provider: str, model: str, at: datetime, tier: str = "standard"
    ) -> list[tuple[Override | Price, str]]:
        """Return what counts for a call, each with its name: prices, or factors and what they multiply, if anything."""
        found: list[tuple[Override | Price, str]] = []
        for lookup in self.overrides:
            if (own := lookup.find(provider, model, at, tier)) is not None:
                found.append((own, own.mark))
                if own.price is not None:
                    return found
        for book in self.books:
            if (price := book.find(provider, model, at, tier)) is not None:
                return [*found, (price, book.version)]
        return found
