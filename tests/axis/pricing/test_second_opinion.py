"""A second opinion on the whole shipped book: `genai-prices`, which others keep, comes to the same but where it is explained."""

from datetime import UTC, datetime, time
from decimal import Decimal

import genai_prices
import pytest

from gimbal.axis.pricing.model import Price, Usage
from gimbal.axis.pricing.service import PriceBook

BOOK = PriceBook.read()
THEIR_NAMES = {"gcp.gemini": "google", "aws.bedrock": "aws", "openai": "openai", "anthropic": "anthropic"}
NOW = datetime(2026, 10, 1, tzinfo=UTC)
USAGES = {
    "plain": Usage(input=1000, output=100),
    "cached and reasoned": Usage(input=500, cache_read=500, output=50, reasoning=50),
    "written": Usage(input=100, cache_write=200, output=10),
    "long": Usage(input=250_000, output=1000),
    "heard": Usage(input=100, audio_input=50, output=10),
}
DIFFERENCES = {
    (
        "anthropic",
        "claude-sonnet-4",
        "long",
    ): "Their price of this model is flat; the maker's page has twice the price for "
    "requests with more than 200,000 tokens of input, as they have it themselves for claude-sonnet-4-5.",
    (
        "openai",
        "o3",
        "cached and reasoned",
    ): "Of the months before its price was cut to a fifth they have the old input and "
    "output, but the cached input of afterwards: 0.50 in place of 2.50.",
}
"""What they come to otherwise, by provider, model and usage, and why ours is kept."""

# Classes and tiers that they have no names for: reasoning counts as output there, and there is no other than standard.
ASKED = [one for one in BOOK.all() if one.tier == "standard" and "*" not in one.model]


def theirs(price: Price, usage: Usage, at: datetime) -> Decimal:
    """Return what they say that a call costs; they count what is cached and heard within the input."""
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "input_audio_tokens": usage.audio_input,
    }
    told = genai_prices.Usage(**{name: count for name, count in counts.items() if count})
    found = genai_prices.calc_price(
        told, price.model, provider_id=THEIR_NAMES[price.provider], genai_request_timestamp=at
    )
    return found.total_price


@pytest.mark.parametrize("name", USAGES)
def test_every_price_of_the_book_agrees_or_is_explained(name: str) -> None:
    """On its first day and now, and no explanation outlives its difference."""
    usage, compared, differing = USAGES[name], 0, set[tuple[str, str, str]]()
    for price in ASKED:
        for at in (datetime.combine(price.valid_from, time(), UTC), NOW):
            ours = BOOK.price(price.provider, price.model, at, usage)
            if ours.amount is None:
                assert ours.unpriced_reason == "no_price:audio_input"
                continue
            compared += 1
            if ours.amount != theirs(price, usage, at):
                differing.add((price.provider, price.model, name))
    assert compared > (10 if name == "heard" else 100)
    assert differing == {key for key in DIFFERENCES if key[2] == name}
