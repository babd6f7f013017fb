"""Prices: each token in one class, the price of the day, exact decimals, and nothing that is unknown for nothing."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gimbal.axis.pricing.operations  # noqa: F401 - fills the operation table
from gimbal.axis.pricing.costing import cost
from gimbal.axis.pricing.model import Cost, Price, Usage
from gimbal.axis.pricing.service import PriceBook

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def price(model: str = "m", day: str = "2025-01-01", **rates: str) -> Price:
    given_ = {"input": "2.00", "output": "8.00"} | rates
    return Price(
        provider="p", model=model, valid_from=date.fromisoformat(day), **{k: Decimal(v) for k, v in given_.items()}
    )


@pytest.fixture
def book() -> PriceBook:
    """Give the book that is shipped."""
    return PriceBook.read()


def test_every_token_is_in_one_class() -> None:
    """Cached input is cheaper and counted once; reasoning costs as output does, and shows as what it is."""
    usage = Usage.of(
        input_tokens=1000, output_tokens=300, cache_read_tokens=600, cache_write_tokens=100, reasoning_tokens=200
    )
    found = cost(price(cache_read="0.20", cache_write="2.50"), usage, "b1")

    assert found == Cost(
        amount=Decimal("0.00337"),
        parts={
            "input": Decimal("0.0006"),
            "output": Decimal("0.0008"),
            "reasoning": Decimal("0.0016"),
            "cache_read": Decimal("0.00012"),
            "cache_write": Decimal("0.00025"),
        },
        book_version="b1",
    )


def test_cached_input_without_a_price_of_its_own_costs_as_input() -> None:
    """Not nothing."""
    usage = Usage.of(input_tokens=1_000_000, cache_read_tokens=400_000, cache_write_tokens=100_000)
    assert cost(price(), usage, "").amount == Decimal("2.00")
    assert cost(price(cache_read="0"), usage, "").amount == Decimal("1.20")


@settings(max_examples=200)
@given(
    counts=st.tuples(*[st.integers(0, 2**40)] * 5),
    rates=st.tuples(*[st.decimals("0", "999", places=6)] * 4),
)
def test_costs_are_exact_and_are_the_sum_of_their_parts(counts: tuple[int, ...], rates: tuple[Decimal, ...]) -> None:
    """Compared with whole numbers: rates have six places, tokens are counted, so picodollars are exact."""
    read, write, plain, spoken, reasoned = counts
    usage = Usage.of(
        input_tokens=read + write + plain,
        output_tokens=spoken + reasoned,
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=reasoned,
    )
    listed = Price(
        provider="p", model="m", valid_from=date(2025, 1, 1),
        input=rates[0], output=rates[1], cache_read=rates[2], cache_write=rates[3],
    )  # fmt: skip
    micro = [int(rate * 1_000_000) for rate in rates]
    picodollars = plain * micro[0] + (spoken + reasoned) * micro[1] + read * micro[2] + write * micro[3]

    found = cost(listed, usage, "")

    assert found.amount is not None
    assert found.amount * 10**12 == picodollars
    assert sum(found.parts.values()) == found.amount


def test_a_million_small_calls_sum_without_drift() -> None:
    """Floats would end beside it."""
    one = cost(price(input="0.10"), Usage.of(input_tokens=1), "").amount
    assert one == Decimal("0.0000001")
    assert sum([one] * 100_000, Decimal(0)) == Decimal("0.01")


def test_the_price_of_the_day_of_the_call_counts() -> None:
    """From its first day on, in UTC; before the first price there is none."""
    listed = PriceBook([price(day="2025-03-01", input="1"), price(day="2025-06-15", input="3"), price(day="2027-01-01", input="9")], "b")  # fmt: skip

    def at(moment: datetime) -> Decimal | None:
        found = listed.find("p", "m", moment)
        return found and found.input

    june = datetime(2025, 6, 15, tzinfo=UTC)
    assert at(datetime(2025, 3, 1, tzinfo=UTC)) == 1
    assert at(june - timedelta(microseconds=1)) == 1
    assert at(june) == 3
    assert at(NOW) == 3
    assert at(datetime(2025, 2, 28, 23, 59, tzinfo=UTC)) is None
    # Half past midnight in Zurich is still the day before in UTC.
    assert at(datetime(2025, 6, 15, 0, 30, tzinfo=timezone(timedelta(hours=2)))) == 1


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-latest", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-audio-preview-2024-12-17", None),
        ("gpt-4", None),
        ("gpt-4o-2024", None),
        ("gpt-4o-2024-08-06-ft", None),
        ("ft:gpt-4o:acme::1", None),
        ("", None),
    ],
)
def test_dated_snapshots_are_known_and_other_models_are_not_taken_for_them(
    book: PriceBook, asked: str, named: str | None
) -> None:
    """A name that merely begins alike is another model with another price."""
    found = book.find("OpenAI", asked, NOW)
    assert (found and found.model) == named


def test_a_snapshot_with_a_price_of_its_own_keeps_it(book: PriceBook) -> None:
    """The first gpt-4o still costs what it cost."""
    usage = Usage.of(input_tokens=1_000_000, output_tokens=1_000_000)
    assert book.price("openai", "gpt-4o-2024-05-13", NOW, usage).amount == Decimal("20.00")
    assert book.price("openai", "gpt-4o-2024-11-20", NOW, usage).amount == Decimal("12.50")


@pytest.mark.parametrize(
    ("provider", "model", "usage", "reason"),
    [
        ("openai", "gpt-99", Usage.of(input_tokens=5), "unknown_model"),
        ("nobody", "gpt-4o", Usage.of(input_tokens=5), "unknown_model"),
        ("", "", Usage(), "unknown_model"),
        ("openai", "gpt-4o", None, "no_usage"),
        ("local", "extractive", None, "no_usage"),
        ("openai", "gpt-4o", Usage.of(input_tokens=-1), "implausible_usage"),
        ("openai", "gpt-4o", Usage.of(output_tokens=-1), "implausible_usage"),
        ("openai", "gpt-4o", Usage.of(output_tokens=5, reasoning_tokens=-1), "implausible_usage"),
        ("openai", "gpt-4o", Usage.of(input_tokens=10, cache_read_tokens=11), "implausible_usage"),
        ("openai", "gpt-4o", Usage.of(input_tokens=10, cache_read_tokens=6, cache_write_tokens=5), "implausible_usage"),
        ("openai", "gpt-4o", Usage.of(output_tokens=10, reasoning_tokens=11), "implausible_usage"),
    ],
)
def test_what_cannot_be_known_has_a_reason_and_never_an_amount(
    book: PriceBook, provider: str, model: str, usage: Usage | None, reason: str
) -> None:
    """Zero dollars would pass every budget."""
    found = book.price(provider, model, NOW, usage)
    assert found == Cost(amount=None, parts={}, book_version=book.version, unpriced_reason=reason)


def test_what_runs_here_is_free_by_a_rule_that_is_named(book: PriceBook) -> None:
    """That is known, not missing; and an implausible count is still none."""
    assert book.price("Local", "extractive", NOW, Usage.of(input_tokens=5)).amount == 0
    assert book.price("local", "extractive", NOW, Usage.of(input_tokens=5)).book_version == "rule: local"
    assert book.price("local", "x", NOW, Usage.of(input_tokens=1, cache_read_tokens=2)).amount is None


def test_zero_tokens_of_a_known_model_cost_zero(book: PriceBook) -> None:
    """Reported zero is a count."""
    assert book.price("openai", "gpt-4o", NOW, Usage()).amount == 0
