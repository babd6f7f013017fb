"""Usage in one normal form and in classes that exclude each other, prices, and cost.

Normal form (`Usage`): `input_tokens` includes what was read from and written to a provider's cache, `output_tokens`
includes reasoning. OpenAI reports so; Anthropic reports input without the cached part, which its provider module adds
back. `BillableUsage` says each token once; `usage` makes it of what a provider sent.
"""

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

Tier = Literal["standard", "batch", "flex", "priority", "fast", "regional"]
Confidence = Literal["published", "contract", "derived", "estimated"]

RATES = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "reasoning",
    "audio_input",
    "audio_output",
    "audio_cache_read",
    "image_input",
    "image_output",
)
"""Fields of a price that are per million tokens."""


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


class BillableUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one call is billed for; every token is in exactly one class."""

    input: int = 0
    """Text, neither read from a cache nor written to one."""
    cache_read: int = 0
    cache_write: int = 0
    """Written to the cache for a time that was not told."""
    cache_write_5m: int = 0
    cache_write_30m: int = 0
    cache_write_1h: int = 0
    cache_write_12h: int = 0
    audio_input: int = 0
    audio_cache_read: int = 0
    image_input: int = 0
    """Images, and the frames of videos."""
    output: int = 0
    """Text, without reasoning."""
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    requests: dict[str, int] = {}
    """Uses of the provider's tools that are billed each: `web_search` …"""
    tier: str = "standard"
    """How the call was served: standard, batch, flex, priority, fast, regional; `other` has no price."""

    @property
    def input_tokens(self) -> int:
        """All input, cached included."""
        return self.input + self.cache_read + self.written + self.audio_input + self.audio_cache_read + self.image_input

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included."""
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def written(self) -> int:
        """All that was put into the cache."""
        short = self.cache_write + self.cache_write_5m + self.cache_write_30m
        return short + self.cache_write_1h + self.cache_write_12h

    def plausible(self) -> bool:
        """Tell whether nothing is negative."""
        counts = (getattr(self, name) for name in self.__struct_fields__ if name not in {"requests", "tier"})
        return min(*counts, *self.requests.values(), 0) >= 0

    def normal_form(self) -> Usage:
        """Return the five counts that spans have."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read + self.audio_cache_read,
            cache_write_tokens=self.written,
            reasoning_tokens=self.reasoning,
        )

    @classmethod
    def of(cls, usage: Usage) -> "BillableUsage":
        """Return the classes of a usage in the normal form, all of it text."""
        return cls(
            input=usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
            cache_read=usage.cache_read_tokens,
            cache_write=usage.cache_write_tokens,
            output=usage.output_tokens - usage.reasoning_tokens,
            reasoning=usage.reasoning_tokens,
        )


class LongContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes for a call whose input, cached included, is longer than a threshold."""

    above: int
    """Tokens of input up to which the other rates hold."""
    of: Literal["request", "excess"]
    """`request`: all tokens of such a call have these rates, the output too; `excess`: the input above alone has."""
    input: Decimal
    output: Decimal | None = None
    """Null: as before."""
    cache_read: Decimal | None = None
    """Null: cached input costs as other input here."""
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Price of a model from a day on, per million tokens.

    A class of tokens without a price: cached input and images cost as input, reasoning as output, what is cached for
    5 or 30 minutes as `cache_write`; anything else leaves the call unpriced.
    """

    provider: str
    model: str
    """Name without a date suffix, or a pattern with `*` for any characters."""
    valid_from: date
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    """Null: cached input costs as other input."""
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    cache_write_12h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    audio_cache_read: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    requests: dict[str, Decimal] = {}
    """Per use of a tool of the provider, not per million: `web_search` …"""
    long_context: LongContext | None = None
    tier: Tier = "standard"
    currency: str = "USD"
    """Of all amounts here; the book has the exchange rate."""
    valid_until: date | None = None
    """First day on which it no longer holds; null: until the next price of the same model and tier begins."""
    aliases: tuple[str, ...] = ()
    """Other names of the model."""
    source: str = ""
    """Address of the page that says so."""
    confidence: Confidence = "published"


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit of a currency is worth from a day on."""

    currency: str
    valid_from: date
    usd: Decimal
    source: str = ""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs, or why that is not known."""

    amount: Decimal | None
    """US dollars; null when unknown, never 0 for it."""
    parts: dict[str, Decimal] = {}
    """Dollars by token class."""
    book_version: str = ""
    """The price book that was used."""
    unpriced_reason: str = ""
    """Why there is no amount: `unknown_model`, `no_usage`, `implausible_usage`, `no_exchange_rate`, or `no_price:` and
    the token class, tool or tier that the price does not name."""
