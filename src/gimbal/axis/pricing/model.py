"""What a call used, in classes that exclude each other, prices, and cost.

`Usage` says each token once. The totals that people speak of (`input_tokens` with what was read from and written to a
provider's cache, `output_tokens` with reasoning) are made of the classes. Providers differ in what includes what; `wires`
reads each of them.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal

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


TOTALS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
"""The counts of a usage that include others."""
REQUESTS = "requests."
"""Stands before the name of a tool among `Usage.others`."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one call used; every token is in exactly one class. A call whose usage nobody reported has none at all."""

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
    contradictory: bool = False
    """Whether the provider's own numbers contradict each other: then this is what they say as far as it can be read."""

    @classmethod
    def of(
        cls,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
        **more: Any,
    ) -> "Usage":
        """Return the usage of counts of which the first two include the others, all of it text; `more` are other fields.

        Parts that do not fit into their wholes leave a class below zero, and are not plausible.
        """
        return cls(
            input=input_tokens - cache_read_tokens - cache_write_tokens,
            cache_read=cache_read_tokens,
            cache_write=cache_write_tokens,
            output=output_tokens - reasoning_tokens,
            reasoning=reasoning_tokens,
            **more,
        )

    @property
    def input_tokens(self) -> int:
        """All input, cached included."""
        return self.input + self.cache_read_tokens + self.cache_write_tokens + self.audio_input + self.image_input

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included."""
        return self.output + self.reasoning + self.audio_output + self.image_output

    @property
    def cache_read_tokens(self) -> int:
        """Part of the input that came from the provider's cache."""
        return self.cache_read + self.audio_cache_read

    @property
    def cache_write_tokens(self) -> int:
        """Part of the input that was put into the provider's cache."""
        short = self.cache_write + self.cache_write_5m + self.cache_write_30m
        return short + self.cache_write_1h + self.cache_write_12h

    @property
    def reasoning_tokens(self) -> int:
        """Part of the output that was reasoning."""
        return self.reasoning

    def others(self) -> dict[str, int]:
        """Return what the totals and the tier do not tell, flat: `cache_write_1h`, `requests.web_search` …"""
        found = {name: count for name, count in zip(OTHERS, _others(self), strict=True) if count}
        found |= {f"{REQUESTS}{tool}": count for tool, count in self.requests.items()}
        return found | {"contradictory": 1} if self.contradictory else found

    @classmethod
    def of_totals(cls, totals: Mapping[str, int], others: Mapping[str, int], tier: str = "standard") -> "Usage":
        """Return the usage of the totals of another and of its `others`."""
        if not others:
            return cls.of(**totals, tier=tier)
        left = dict(others)
        contradictory = bool(left.pop("contradictory", 0))
        requests = {name.removeprefix(REQUESTS): left.pop(name) for name in others if name.startswith(REQUESTS)}
        read, written = totals["cache_read_tokens"], totals["cache_write_tokens"]
        by_time = sum(count for name, count in left.items() if name.startswith("cache_write"))
        beside = left.get("image_input", 0) + left.get("audio_input", 0)
        spoken = left.get("audio_output", 0) + left.get("image_output", 0)
        return cls(
            input=totals["input_tokens"] - read - written - beside,
            cache_read=read - left.get("audio_cache_read", 0),
            cache_write=written - by_time,
            output=totals["output_tokens"] - totals["reasoning_tokens"] - spoken,
            reasoning=totals["reasoning_tokens"],
            requests=requests,
            tier=tier,
            contradictory=contradictory,
            **left,
        )

    def plausible(self) -> bool:
        """Tell whether nothing contradicts anything else and nothing is negative."""
        if self.contradictory or min(_counts(self)) < 0:
            return False
        return not self.requests or min(self.requests.values()) >= 0


TOKENS = tuple(name for name in Usage.__struct_fields__ if name not in {"requests", "tier", "contradictory"})
"""The classes of tokens."""
OTHERS = tuple(name for name in TOKENS if name not in {"input", "cache_read", "cache_write", "output", "reasoning"})
"""Those that few calls have."""
_counts = attrgetter(*TOKENS)
_others = attrgetter(*OTHERS)


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
