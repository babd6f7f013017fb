"""The price book: finds the price of a model on a day and turns usage into cost."""

import fnmatch
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gimbal.axis.pricing.book import SHIPPED, read_book
from gimbal.axis.pricing.costing import cost, in_dollars
from gimbal.axis.pricing.model import BillableUsage, Cost, Exchange, Price, Usage
from gimbal.kernel.money import ZERO

BOOK = SHIPPED
# Providers append the day of a snapshot to the name: gpt-4o-2024-08-06, claude-sonnet-4-20250514.
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
# Names come from whoever sends spans: what is remembered of them is bounded.
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256

# What runs in this process or on this machine costs nothing per call.
FREE_PROVIDERS = frozenset({"local"})


class PriceBook:
    """Prices by provider and model, each from a day on.

    A model is looked for by its exact name, then without the date of a snapshot, each among names and then among
    aliases, and at last by pattern, of which the one with most characters of its own wins.
    """

    def __init__(self, prices: Sequence[Price], version: str, exchange: Sequence[Exchange] = ()) -> None:
        self.version = version
        self._exchange = sorted(exchange, key=lambda rate: rate.valid_from, reverse=True)
        self._by_model: dict[tuple[str, str], list[Price]] = {}
        self._by_alias: dict[tuple[str, str], list[Price]] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], list[Price]]]] = {}
        self._remembered: dict[tuple[str, str], list[list[Price]]] = {}
        for price in sorted(prices, key=lambda p: p.valid_from, reverse=True):
            self._by_model.setdefault((price.provider, price.model), []).append(price)
            for alias in price.aliases:
                self._by_alias.setdefault((price.provider, alias), []).append(price)
        for (provider, model), listed in sorted(self._by_model.items(), key=lambda entry: _own(entry[0][1])):
            if "*" in model:
                self._patterns.setdefault(provider, []).append((_compiled(model), listed))

    @classmethod
    def read(cls, path: Path = BOOK) -> "PriceBook":
        """Read a book in TOML; raise BadInput when it is not right."""
        book = read_book(path.read_text(encoding="utf-8"), path.name)
        return cls(book.prices, book.version, book.exchange)

    def all(self) -> list[Price]:
        """Return every price by provider and model, newest first."""
        return [price for key in sorted(self._by_model) for price in self._by_model[key]]

    def find(self, provider: str, model: str, at: datetime, tier: str = "standard") -> Price | None:
        """Return the price in force at a moment, also for a dated snapshot of the model; None when there is none."""
        found = self._remembered.get((provider, model))
        if found is None:
            found = self._remember(provider, model)
        day = at.astimezone(UTC).date()
        for listed in found:
            for price in listed:
                if price.valid_from <= day and price.tier == tier:
                    if price.valid_until is None or day < price.valid_until:
                        return price
                    break  # what came before it had ended, too
        return None

    def price(self, provider: str, model: str, at: datetime, usage: Usage | BillableUsage | None) -> Cost:
        """Return what a call costs; the amount is None with a reason when that cannot be known."""
        if usage is None:
            return self._unknown("no_usage")
        if not usage.plausible():
            return self._unknown("implausible_usage")
        if provider.lower() in FREE_PROVIDERS:
            counts = usage.normal_form() if isinstance(usage, BillableUsage) else usage
            return cost(_free(provider, model, at), counts, "rule: local")
        tier = usage.tier if isinstance(usage, BillableUsage) else "standard"
        found = self.find(provider, model, at, tier)
        if found is None:
            known = tier != "standard" and self.find(provider, model, at) is not None
            return self._unknown(f"no_price:{tier}" if known else "unknown_model")
        amount = cost(found, usage, self.version)
        if found.currency == "USD" or amount.amount is None:
            return amount
        day = at.astimezone(UTC).date()
        for rate in self._exchange:
            if rate.currency == found.currency and rate.valid_from <= day:
                return in_dollars(amount, rate.usd)
        return self._unknown("no_exchange_rate")

    def _unknown(self, reason: str) -> Cost:
        return Cost(amount=None, book_version=self.version, unpriced_reason=reason)

    def _remember(self, provider: str, model: str) -> list[list[Price]]:
        """Return the lists of prices that a name may mean, the nearest first."""
        house, name = provider.lower(), model.lower()
        found = [
            table[house, called]
            for called in dict.fromkeys((name, _DATE.sub("", name)))
            for table in (self._by_model, self._by_alias)
            if (house, called) in table and "*" not in called
        ]
        found += [listed for pattern, listed in self._patterns.get(house, ()) if pattern.match(name)]
        if len(provider) + len(model) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[provider, model] = found
        return found


def _own(pattern: str) -> tuple[int, str]:
    return -len(pattern.replace("*", "")), pattern


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which only `*` has a meaning; atomic parts, so that no name makes it run long."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")))


def _free(provider: str, model: str, at: datetime) -> Price:
    return Price(provider=provider, model=model, valid_from=at.date(), input=ZERO, output=ZERO)
