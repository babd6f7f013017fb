"""Usage in one normal form, prices, and cost.

Normal form: `input_tokens` includes what was read from and written to a provider's cache, `output_tokens` includes
reasoning. OpenAI reports so; Anthropic reports input without the cached part, which its provider module adds back.
"""

from datetime import date
from decimal import Decimal

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one call. A call whose usage nobody reported has no Usage at all."""

    input_tokens: int = 0
    """All input, cached included."""
    output_tokens: int = 0
    """All output, reasoning included."""
    cache_read_tokens: int = 0
    """Part of the input that came from the provider's cache."""
    cache_write_tokens: int = 0
    """Part of the input that was put into the provider's cache."""
    reasoning_tokens: int = 0
    """Part of the output that was reasoning."""

    def plausible(self) -> bool:
        """Tell whether the parts fit into their wholes and nothing is negative."""
        parts = (self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)
        cached = self.cache_read_tokens + self.cache_write_tokens
        fits = cached <= self.input_tokens and self.reasoning_tokens <= self.output_tokens
        return min(*parts, self.reasoning_tokens) >= 0 and fits


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """List price of a model from a day on, in US dollars per million tokens."""

    provider: str
    model: str
    """Name without a date suffix."""
    valid_from: date
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    """Null: cached input costs as other input."""
    cache_write: Decimal | None = None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs, or why that is not known."""

    amount: Decimal | None
    """US dollars; null when unknown, never 0 for it."""
    parts: dict[str, Decimal] = {}
    """Dollars by token class."""
    book_version: str = ""
    """The price book that was used."""
    unpriced_reason: str = ""
    """Why there is no amount: `unknown_model`, `no_usage`, `implausible_usage`."""


def cost(price: Price, usage: Usage, book_version: str) -> Cost:
    """Return the cost of a call: each token is counted in exactly one class."""
    million = Decimal(1_000_000)
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    parts = {
        "input": price.input * plain / million,
        "output": price.output * usage.output_tokens / million,
    }
    if usage.cache_read_tokens:
        rate = price.input if price.cache_read is None else price.cache_read
        parts["cache_read"] = rate * usage.cache_read_tokens / million
    if usage.cache_write_tokens:
        rate = price.input if price.cache_write is None else price.cache_write
        parts["cache_write"] = rate * usage.cache_write_tokens / million
    return Cost(amount=sum(parts.values(), Decimal(0)), parts=parts, book_version=book_version)
