"""The price book: how a model finds its price, classes, tiers, long contexts, currencies, and books that are refused."""

import re
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.pricing.book import SHIPPED, read_book
from gimbal.axis.pricing.costing import cost
from gimbal.axis.pricing.model import LongContext, Price, Usage
from gimbal.axis.pricing.service import PriceBook
from gimbal.kernel.errors import BadInput

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MILLION = 1_000_000
ENTRY = """
[[price]]
provider = "p"
model = "m"
valid_from = 2025-01-01
input = "2.00"
output = "8.00"
"""


def book(text: str, version: str = "2026-01-01") -> PriceBook:
    found = read_book(f'version = "{version}"\n{text}', "here.toml")
    return PriceBook(found.prices, found.version, found.exchange)


def price(**fields: object) -> Price:
    given_ = {"provider": "p", "model": "m", "valid_from": date(2025, 1, 1), "input": Decimal(2), "output": Decimal(8)}
    return Price(**(given_ | fields))  # pyright: ignore[reportArgumentType]


def dollars(rates: Price, **counts: int) -> Decimal | None:
    return cost(rates, Usage(**counts), "").amount  # pyright: ignore[reportArgumentType]


def test_the_shipped_book_holds_what_it_promises() -> None:
    """A source for each price, all in dollars, cached input never dearer, batch never dearer than at once."""
    found = read_book(SHIPPED.read_text(encoding="utf-8"), SHIPPED.name)
    assert len(found.prices) > 90
    for listed in found.prices:
        assert listed.source.startswith("https://"), listed
        assert listed.currency == "USD"
        assert listed.valid_from >= date(2023, 1, 1)
        assert 0 < listed.input < 1000
        assert listed.cache_read is None or listed.cache_read < listed.input
        assert listed.cache_write is None or listed.cache_write >= listed.input
    whole = PriceBook(found.prices, found.version)
    at = datetime(2026, 10, 1, tzinfo=UTC)
    for listed in found.prices:
        if listed.tier in {"batch", "flex"}:
            usual = whole.find(listed.provider, listed.model, at)
            assert usual is not None
            cheap = whole.find(listed.provider, listed.model, at, listed.tier)
            assert cheap is not None
            assert cheap.input * 2 == usual.input
            assert cheap.output * 2 == usual.output


def test_a_name_is_looked_for_before_an_alias_and_an_alias_before_a_pattern() -> None:
    """And the pattern with most of its own characters wins; marks other than `*` mean themselves."""
    listed = PriceBook(
        [
            price(model="one", aliases=("uno", "one-alias")),
            price(model="on*", input=Decimal(3)),
            price(model="*one*", input=Decimal(4)),
            price(model="one-2025-01-01", input=Decimal(5)),
            price(model="a[b]?*", input=Decimal(6)),
        ],
        "b",
    )  # fmt: skip

    def found(model: str) -> Decimal | None:
        there = listed.find("p", model, NOW)
        return there and there.input

    assert [found(name) for name in ("one", "uno", "UNO-2024-01-01", "one-2025-01-01")] == [2, 2, 2, 5]
    assert [found(name) for name in ("onward", "one-x", "xonex", "a[b]?1", "ab1", "two")] == [3, 4, 4, 6, None, None]


def test_many_names_that_nobody_knows_take_no_memory() -> None:
    """Whoever sends spans chooses the names."""
    listed = book(ENTRY)
    for number in range(10_000):
        assert listed.find("p", f"x{number}", NOW) is None
    assert len(listed._remembered) <= 4096
    listed.find("p", "m" * 100_000, NOW)
    assert max(len(name) for _, name in listed._remembered) < 300
    assert listed.find("p", "m", NOW) is not None


def test_a_pattern_with_many_stars_is_soon_done_with_a_name_that_nearly_fits() -> None:
    """Else one span could hold the server up."""
    listed = PriceBook([price(model="*a" * 30 + "b")], "b")
    begun = time.perf_counter()
    assert listed.find("p", "a" * 20_000, NOW) is None
    assert time.perf_counter() - begun < 1


def test_a_price_ends_where_it_says_or_where_the_next_begins() -> None:
    """After an end without a next one the model is unpriced again."""
    listed = PriceBook(
        [
            price(valid_until=date(2025, 3, 1)),
            price(valid_from=date(2025, 6, 1), input=Decimal(3)),
            price(valid_from=date(2025, 7, 1), input=Decimal(4), valid_until=date(2025, 9, 1)),
        ],
        "b",
    )
    moments = ["2025-02-28", "2025-03-01", "2025-06-01", "2025-07-01", "2025-08-31", "2025-09-01"]
    found = [listed.find("p", "m", datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in moments]
    assert [there and there.input for there in found] == [2, None, 3, 4, 4, None]


def test_each_tier_has_a_price_of_its_own_or_none() -> None:
    """Half of nothing that is known is not known."""
    listed = PriceBook([price(), price(tier="batch", input=Decimal(1), output=Decimal(4))], "b")
    costs = [
        listed.price("p", model, NOW, Usage(input=MILLION, output=MILLION, tier=tier))
        for model, tier in (("m", "standard"), ("m", "batch"), ("m", "flex"), ("m", "unheard of"), ("x", "batch"))
    ]
    assert [found.amount for found in costs] == [10, 5, None, None, None]
    assert [found.unpriced_reason for found in costs[2:]] == ["no_price:flex", "no_price:unheard of", "unknown_model"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"cache_read": MILLION}, "2"),
        ({"cache_write": MILLION, "cache_write_5m": MILLION, "cache_write_30m": MILLION}, "6"),
        ({"image_input": MILLION}, "2"),
        ({"reasoning": MILLION}, "8"),
        ({"cache_write_1h": 1}, "no_price:cache_write_1h"),
        ({"cache_write_12h": 1}, "no_price:cache_write_12h"),
        ({"audio_input": 1}, "no_price:audio_input"),
        ({"audio_cache_read": 1}, "no_price:audio_cache_read"),
        ({"audio_output": 1}, "no_price:audio_output"),
        ({"image_output": 1}, "no_price:image_output"),
        ({"requests": {"web_search": 1}}, "no_price:web_search"),
        ({"requests": {"web_search": 0}}, "0"),
    ],
)
def test_a_class_without_a_price_falls_back_by_rule_or_leaves_the_call_unpriced(
    counts: dict[str, int], expected: str
) -> None:
    """Never nothing."""
    found = cost(price(), Usage(**counts), "b")  # pyright: ignore[reportArgumentType]
    if expected.startswith("no_price"):
        assert (found.amount, found.parts, found.unpriced_reason) == (None, {}, expected)
    else:
        assert found.amount == Decimal(expected)


def test_every_class_is_charged_at_its_own_rate() -> None:
    """All of them at once, summed by hand."""
    rates = price(
        cache_read=Decimal("0.20"), cache_write=Decimal("2.50"), cache_write_1h=Decimal(4), cache_write_12h=Decimal(5),
        reasoning=Decimal(9), audio_input=Decimal(40), audio_output=Decimal(80), audio_cache_read=Decimal("2.5"),
        image_input=Decimal(3), image_output=Decimal(30), requests={"web_search": Decimal("0.01")},
    )  # fmt: skip
    usage = Usage(
        input=1, cache_read=2, cache_write=3, cache_write_5m=4, cache_write_30m=5, cache_write_1h=6, cache_write_12h=7,
        audio_input=8, audio_cache_read=9, image_input=10, output=11, reasoning=12, audio_output=13, image_output=14,
        requests={"web_search": 3},
    )  # fmt: skip
    # 2 + 0.4 + 7.5 + 10 + 12.5 + 24 + 35 + 320 + 22.5 + 30 + 88 + 108 + 1040 + 420 = 2119.9 millionths
    assert cost(rates, usage, "").amount == Decimal("0.0021199") + Decimal("0.03")


LONG = LongContext(above=200, of="request", input=Decimal(4), output=Decimal(12), cache_read=Decimal("0.4"))


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        # Up to the threshold nothing changes; one above, all does.
        (Usage.of(input_tokens=200, output_tokens=10), "480"),
        (Usage.of(input_tokens=201, output_tokens=10), "924"),
        # Cached input counts towards the threshold: 100·4 + 101·0.4 + 10·12.
        (Usage.of(input_tokens=201, cache_read_tokens=101, output_tokens=10), "560.4"),
        # Written input has no rate of its own here and costs as input: 201·4.
        (Usage.of(input_tokens=201, cache_write_tokens=101), "804"),
    ],
)
def test_a_long_context_changes_the_whole_call(usage: Usage, millionths: str) -> None:
    """As Anthropic, Google and OpenAI have it."""
    found = cost(price(cache_read=Decimal("0.2"), long_context=LONG), usage, "")
    assert found.amount == Decimal(millionths) / MILLION


def test_output_without_a_rate_for_long_contexts_costs_as_before() -> None:
    """Reasoning with a rate of its own keeps it, and what was told for the text does not hold for audio."""
    silent = LongContext(above=200, of="request", input=Decimal(4))
    rates = price(reasoning=Decimal(9), audio_output=Decimal(80), long_context=silent)
    assert dollars(rates, input=201, output=1, reasoning=1, audio_output=1) == Decimal(804 + 8 + 9 + 80) / MILLION
    told = cost(price(audio_output=Decimal(80), long_context=LONG), Usage(input=201, audio_output=1), "")
    assert (told.amount, told.unpriced_reason) == (None, "no_price:audio_output")


def test_a_long_context_can_change_the_excess_alone() -> None:
    """A prompt is cached from its beginning, so what is above the threshold is the uncached end of it."""
    long = LongContext(above=200, of="excess", input=Decimal(4), cache_read=Decimal(1))
    rates = price(cache_read=Decimal("0.2"), long_context=long)
    assert dollars(rates, input=250, output=10) == Decimal(200 * 2 + 50 * 4 + 10 * 8) / MILLION
    assert dollars(rates, input=100, cache_read=150) == (150 * Decimal("0.2") + 50 * 2 + 50 * 4) / MILLION
    assert dollars(rates, input=10, cache_read=250) == (200 * Decimal("0.2") + 50 * 1 + 10 * 4) / MILLION


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 2**40), min_size=14, max_size=14),
    st.integers(1, 2**42),
    st.decimals("0.000001", "999", places=6),
)
def test_no_token_is_lost_or_counted_twice_whatever_the_threshold(counts: list[int], above: int, rate: Decimal) -> None:
    """Where all rates are one, the cost is the count times it, to the last digit."""
    names = [name for name in Usage.__struct_fields__ if name not in {"requests", "tier", "contradictory"}]
    rest = dict.fromkeys(("cache_write_1h", "cache_write_12h", "audio_input", "audio_output", "audio_cache_read", "image_output"), rate)  # fmt: skip
    plain = price(input=rate, output=rate, **rest)
    usage = Usage(**dict(zip(names, counts, strict=True)))  # pyright: ignore[reportArgumentType]
    expected = sum(counts) * int(rate * MILLION)
    assert (found := cost(plain, usage, "").amount) is not None
    assert found * MILLION * MILLION == expected
    text = Usage(input=counts[0], cache_read=counts[1], cache_write=counts[2], output=counts[3])
    long = LongContext(above=above, of="excess", input=rate)
    split = cost(price(input=rate, output=rate, long_context=long), text, "").amount
    assert split is not None
    assert split * MILLION * MILLION == sum(counts[:4]) * int(rate * MILLION)


def test_another_currency_is_exchanged_at_the_rate_of_the_day() -> None:
    """Exactly, and without a rate for that day not at all."""
    listed = book(
        """
[[exchange]]
currency = "EUR"
valid_from = 2025-06-01
usd = "1.0837"
[[exchange]]
currency = "EUR"
valid_from = 2025-09-01
usd = "1.1"
"""
        + ENTRY
        + 'currency = "EUR"\nrequests = { web_search = "0.01" }\n'
    )
    usage = Usage(input=1, output=1, requests={"web_search": 1})

    def on(day: str) -> Decimal | None:
        return listed.price("p", "m", datetime.fromisoformat(day).replace(tzinfo=UTC), usage).amount

    assert on("2025-08-31") == Decimal("0.01001") * Decimal("1.0837")
    assert on("2025-09-01") == Decimal("0.01001") * Decimal("1.1")
    early = listed.price("p", "m", datetime(2025, 5, 31, tzinfo=UTC), usage)
    assert (early.amount, early.unpriced_reason) == (None, "no_exchange_rate")


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("version = ", "here.toml", "not TOML"),
        ("", "here.toml: version", "None is not a day"),
        ('version = "1"', "here.toml: version", "'1' is not a day"),
        ('version = "2026-02-30"' + ENTRY, "here.toml: version", "'2026-02-30' is not a day"),
        ('version = "2026-01-03"' + ENTRY, "here.toml: version", "has not come"),
        ('version = "2026-01-01"', "here.toml: price", "no prices"),
        ('version = "2026-01-01"\nprice = []', "here.toml: price", "no prices"),
        ('version = "2026-01-01"\nprice = [1]', "here.toml: price 1", "not a table"),
        ('version = "2026-01-01"\nprices = []' + ENTRY, "here.toml", "'prices' is not part"),
    ],
)
def test_what_is_no_book_is_refused(text: str, where: str, reason: str) -> None:
    """With the file and the reason."""
    with pytest.raises(BadInput, match=re.escape(reason)) as error:
        read_book(text, "here.toml", today=date(2026, 1, 2))
    assert (error.value.where, error.value.kept) == (where, "the prices before")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('output = "8.00"\n', "", "Object missing required field `output`"),
        ('input = "2.00"', 'input = "x"', "Invalid decimal string"),
        ('input = "2.00"', "input = 2.5", "float"),
        ('input = "2.00"', 'input = "-2"', "-2 is not a price"),
        ('input = "2.00"', 'input = "NaN"', "NaN is not a price"),
        ('input = "2.00"', 'input = "1e6"', "a million or more"),
        ('input = "2.00"', 'input = "0.0000000001"', "more than 9 decimals"),
        ('input = "2.00"', 'input = "2"\nrequests = { search = "-1" }', "requests.search"),
        ("2025-01-01", '"soon"', "valid_from"),
        ("2025-01-01", "2026-01-02", "in the future"),
        ("2025-01-01", "2025-01-01\nvalid_until = 2025-01-01", "ends before it begins"),
        ('"m"', '"M"', "small letters"),
        ('"m"', '""', "small letters"),
        ('"m"', '"**"', "fits every model"),
        ('"m"', '"m"\nchache_read = "1"', "chache_read"),
        ('"m"', '"m"\ntier = "cheap"', "Invalid enum value 'cheap'"),
        ('"m"', '"m"\nconfidence = "sure"', "Invalid enum value 'sure'"),
        ('"m"', '"m"\ncurrency = "euro"', "code of a currency"),
        ('"m"', '"m"\ncurrency = "EUR"', "no exchange rate of EUR"),
        ('"m"', '"m"\nlong_context = { above = 0, of = "request", input = "1" }', "0 is not a number of tokens"),
        ('"m"', '"m"\nlong_context = { above = 9, of = "excess", input = "1", output = "1" }', "no excess"),
        ('"m"', '"m"\nlong_context = { above = 9, of = "excess", input = "-1" }', "long_context: input"),
        ('"m"', '"m"\nlong_context = { above = 9, of = "excess", input = 1.5 }', "float"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_meant_is_refused_with_its_place(old: str, new: str, reason: str) -> None:
    """The file, the number and the name of the entry, and why."""
    with pytest.raises(BadInput) as error:
        book(ENTRY.replace(old, new))
    assert error.value.where.startswith("here.toml: price 1 (")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "second",
    [
        ENTRY,
        ENTRY.replace('"2.00"', '"3.00"'),
        ENTRY.replace("2025-01-01", "2025-05-01"),
        ENTRY.replace('model = "m"', 'model = "n"\naliases = ["m"]'),
    ],
    ids=["twice", "two prices", "before the end", "by its alias"],
)
def test_two_prices_of_one_name_on_one_day_are_refused(second: str) -> None:
    """Nobody could say which one counts."""
    first = ENTRY.replace("2025-01-01", "2025-01-01\nvalid_until = 2025-06-01")
    with pytest.raises(BadInput, match="overlaps") as error:
        book(first + second)
    assert error.value.where.startswith("here.toml: price ")
    assert book(first + second.replace('"m"', '"other"')).find("p", "m", datetime(2025, 2, 1, tzinfo=UTC)) is not None
    assert len(book(first + second.replace('output = "8.00"', 'output = "8"\ntier = "flex"')).all()) == 2


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        ('currency = "USD"\nvalid_from = 2025-01-01\nusd = "2"', "another currency"),
        ('currency = "EUR"\nvalid_from = 2025-01-01\nusd = "0"', "worth nothing"),
        ('currency = "EUR"\nvalid_from = 2025-01-01\nusd = "-1"', "from 0 up"),
        ('currency = "EUR"\nvalid_from = 2027-01-01\nusd = "1"', "in the future"),
        ('currency = "EUR"\nvalid_from = 2025-01-01\nusd = 1.1', "float"),
    ],
)
def test_an_exchange_rate_that_cannot_be_meant_is_refused(rate: str, reason: str) -> None:
    """It would make every price in that currency wrong."""
    with pytest.raises(BadInput, match=reason):
        book("[[exchange]]\n" + rate + ENTRY)


def test_a_file_is_named_in_what_is_said_of_it(tmp_path: Path) -> None:
    """As one reads it from disk."""
    path = tmp_path / "ours.toml"
    path.write_text('version = "2026-01-01"' + ENTRY.replace('"8.00"', '"-8"'))
    with pytest.raises(BadInput) as error:
        PriceBook.read(path)
    assert error.value.where == "ours.toml: price 1 (p/m, standard, from 2025-01-01): output"


@pytest.mark.parametrize(
    "usage",
    [Usage(cache_write_1h=-1), Usage(input=5, requests={"web_search": -1})],
    ids=["class", "tool"],
)
def test_a_negative_count_is_no_discount(usage: Usage) -> None:
    """Whoever makes such a record by hand gets no amount for it."""
    found = PriceBook([price()], "b").price("p", "m", NOW, usage)
    assert (found.amount, found.unpriced_reason) == (None, "implausible_usage")
