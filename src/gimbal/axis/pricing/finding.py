"""What a call would cost, and why: for the command, the page, and whoever wonders about a span."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.pricing.layers import Layers
from gimbal.axis.pricing.listing import PriceEntry, entry_of, entry_of_book
from gimbal.axis.pricing.lookup import named_by
from gimbal.axis.pricing.model import TOKENS, Price, Usage
from gimbal.axis.pricing.overrides import Override
from gimbal.axis.pricing.service import FREE

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
_Name = Annotated[str, msgspec.Meta(max_length=1000)]


class FindPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call: which model, when, and what it uses; every token in one class."""

    provider: _Name
    """As spans name it: `openai`, `anthropic` …"""
    model: _Name
    """As spans name it, also with the day of a snapshot."""
    tier: _Name = "standard"
    """How the call is served: standard, batch, flex, priority, fast or regional."""
    at: datetime | None = None
    """Null: now."""
    version: str | None = None
    """`price_book` of a span: by the very prices that it names; null: by those in force."""
    input: _Count = 0
    """Text that is neither read from a cache nor written to one."""
    output: _Count = 0
    """Text, without reasoning."""
    cache_read: _Count = 0
    """Input tokens from the provider's cache."""
    cache_write: _Count = 0
    """Input tokens put into it for a time that was not told."""
    cache_write_5m: _Count = 0
    """Input tokens put into it for 5 minutes."""
    cache_write_30m: _Count = 0
    """Input tokens put into it for 30 minutes."""
    cache_write_1h: _Count = 0
    """Input tokens put into it for an hour."""
    cache_write_12h: _Count = 0
    """Input tokens put into it for 12 hours."""
    reasoning: _Count = 0
    """Output tokens of reasoning."""
    audio_input: _Count = 0
    """Input tokens of audio."""
    audio_cache_read: _Count = 0
    """Input tokens of audio from the provider's cache."""
    audio_output: _Count = 0
    """Output tokens of audio."""
    image_input: _Count = 0
    """Input tokens of images and of the frames of videos."""
    image_output: _Count = 0
    """Output tokens of images."""
    requests: dict[str, _Count] = {}
    """Uses of the provider's tools: `web_search` …"""


class FoundPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What the call costs."""

    cost: Decimal | None
    """US dollars; null: unpriced, never 0 for it."""
    unpriced: str = ""
    """Why there is no cost, as spans say it."""
    parts: dict[str, Decimal] = {}
    """Dollars by token class."""
    version: str
    """What a span of this call would name as its `price_book`."""
    why: list[str]
    """Which layers have something for the call, the first one first."""
    entries: list[PriceEntry]
    """The prices that count: one, or factors and what they multiply."""


def found_price(prices: Layers, asked: FindPrice, at: datetime) -> FoundPrice:
    """Return what a call costs by some prices."""
    counts = {name: getattr(asked, name) for name in (*TOKENS, "requests")}
    cost = prices.price(asked.provider, asked.model, at, Usage(tier=asked.tier, **counts))
    chain = prices.chain(asked.provider, asked.model, at, asked.tier)
    return FoundPrice(
        cost=cost.amount,
        unpriced=cost.unpriced_reason,
        parts={name: part for name, part in cost.parts.items() if part},
        version=cost.book_version,
        why=_why(chain, asked, at, free=cost.book_version == FREE),
        entries=[_entry(found, name) for found, name in chain],
    )


def _why(chain: Sequence[tuple[Override | Price, str]], asked: FindPrice, at: datetime, *, free: bool) -> list[str]:
    if free:
        return ["what runs here is free, unless somebody gives it a price"]
    told: list[str] = []
    for found, name in chain:
        how = f"by {named_by(found, asked.model)} {found.model}, from {found.valid_from}"
        if isinstance(found, Price):
            told.append(f"book {name} {how}")
        else:
            whose = "of this project" if found.scope else "of the installation"
            what = "full prices" if found.factor is None else f"times {found.factor}"
            told.append(f"{name} {whose} {how}: {what}")
    if not chain or getattr(chain[-1][0], "factor", None) is not None:
        day = at.astimezone(UTC).date()
        told.append(f"no book has {asked.provider}/{asked.model} at the tier {asked.tier} on {day}")
    return told


def _entry(found: Override | Price, name: str) -> PriceEntry:
    if isinstance(found, Override):
        return entry_of(found, "removed" if found.removed_at else "in force")
    return entry_of_book(found, name, "in force")
