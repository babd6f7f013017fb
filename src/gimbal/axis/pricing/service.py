"""The price book: finds the price of a model on a day and turns usage into cost."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gimbal.axis.pricing.model import Cost, Price, Usage, cost
from gimbal.kernel.money import ZERO

BOOK = Path(__file__).with_name("prices.toml")
# Providers append the day of a snapshot to the name: gpt-4o-2024-08-06, claude-sonnet-4-20250514.
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


# What runs in this process or on this machine costs nothing per call.
FREE_PROVIDERS = frozenset({"local"})


class PriceBook:
    """Prices by provider and model, each from a day on."""

    def __init__(self, prices: list[Price], version: str) -> None:
        self.version = version
        self._by_model: dict[tuple[str, str], list[Price]] = {}
        for price in sorted(prices, key=lambda p: p.valid_from, reverse=True):
            self._by_model.setdefault((price.provider, price.model), []).append(price)

    @classmethod
    def read(cls, path: Path = BOOK) -> "PriceBook":
        """Read a book in TOML: `version` and `[[price]]` tables."""
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(msgspec.convert(raw["price"], list[Price]), str(raw["version"]))

    def all(self) -> list[Price]:
        """Return every price by provider and model, newest first."""
        return [price for key in sorted(self._by_model) for price in self._by_model[key]]

    def find(self, provider: str, model: str, at: datetime) -> Price | None:
        """Return the price in force at a moment, also for a dated snapshot of the model; None when there is none."""
        provider, model, day = provider.lower(), model.lower(), at.astimezone(UTC).date()
        for name in (model, _DATE.sub("", model)):
            for price in self._by_model.get((provider, name), ()):
                if price.valid_from <= day:
                    return price
        return None

    def price(self, provider: str, model: str, at: datetime, usage: Usage | None) -> Cost:
        """Return what a call costs; the amount is None with a reason when that cannot be known."""
        if usage is None:
            return Cost(amount=None, book_version=self.version, unpriced_reason="no_usage")
        if not usage.plausible():
            return Cost(amount=None, book_version=self.version, unpriced_reason="implausible_usage")
        if provider.lower() in FREE_PROVIDERS:
            return cost(
                Price(provider=provider, model=model, valid_from=at.date(), input=ZERO, output=ZERO),
                usage,
                "rule: local",
            )
        found = self.find(provider, model, at)
        if found is None:
            return Cost(amount=None, book_version=self.version, unpriced_reason="unknown_model")
        return cost(found, usage, self.version)
