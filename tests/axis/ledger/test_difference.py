"""Providers' figures beside ours, to the digit, with what explains them; and what has no price at all."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest
from tests.axis.ledger.exports import ANTHROPIC_COSTS_CSV, cost, page, used
from tests.axis.ledger.spending import BEGIN, NEW, OLD, call, day, price, record, rerated

from gimbal.axis.ledger import difference, statements, unpriced
from gimbal.axis.ledger.model import Difference, DifferenceReport
from gimbal.axis.ledger.names import alike
from gimbal.axis.ledger.statements import Import
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

BOOK = PriceBook([price("gpt-4o", "2.5", "10", provider="openai"), price("o3", "2", "8", provider="openai")], "b")


def mine(model: str, input_tokens: int, output_tokens: int, number: int = 0, **more: object):
    return call(model, input_tokens, output_tokens, at=day(number), provider="openai", **more)


async def take(ctx: Context, body: bytes, format_: str, **more: str) -> None:
    await statements.take(ctx, body, Import(format=format_, **more))


async def report(ctx: Context, **more: object) -> DifferenceReport:
    return await difference.report(ctx, BEGIN, day(10), **{"provider": None} | more)  # type: ignore[arg-type]


def by_model(found: DifferenceReport) -> dict[str, Difference]:
    return {row.model: row for row in found.rows}


async def test_what_is_the_same_is_the_same(ledger: Context) -> None:
    """A million in is 2.50 on both sides, however the bill writes the model."""
    await record(ledger, BOOK, mine("gpt-4o-2024-08-06", 1_000_000, 0))
    await take(ledger, page((0, [cost("gpt-4o-2024-08-06, input", 2.5)])), "openai-costs")
    await take(ledger, page((0, [used("gpt-4o-2024-08-06", 1_000_000, 0, 1)])), "openai-usage")

    found = await report(ledger)

    [row] = found.rows
    assert ("same", Decimal("2.5"), Decimal("2.5"), Decimal(0), 0) == (
        row.state, row.their_cost, row.our_cost, row.cost_difference, row.token_difference,
    )  # fmt: skip
    assert (Decimal("2.5"), Decimal("2.5")) == (found.their_cost, found.our_cost)
    assert "UTC" in found.boundary


async def test_each_difference_has_its_explanation(ledger: Context) -> None:
    """Calls beside Gimbal, unpriced ones, half a price, a model of theirs and one of ours."""
    await record(
        ledger, BOOK,
        mine("gpt-4o", 1_000_000, 0), mine("o3", 1_000_000, 0), mine("new", 1000, 1), mine("ours", 5, 5),
    )  # fmt: skip
    await take(
        ledger,
        page((0, [cost("gpt-4o, input", 5), cost("o3, input", 1), cost("new, input", 0.01), cost("whisper", 3)])),
        "openai-costs",
    )
    await take(ledger, page((0, [used("gpt-4o", 2_000_000, 0, 3), used("o3", 1_000_000, 0, 1)])), "openai-usage")

    found = by_model(await report(ledger))

    assert ("differs", Decimal("2.5"), 0.5) == (
        found["gpt-4o"].state, found["gpt-4o"].cost_difference, found["gpt-4o"].cost_share,
    )  # fmt: skip
    assert found["gpt-4o"].explanations[:1] == ["2 calls did not go through Gimbal."]
    assert "bills half of our price" in found["o3"].explanations[0]
    assert (found["new"].our_cost, found["new"].explanations[0]) == (None, "1 call of ours without a price.")
    assert (found["whisper"].state, found["ours"].state) == ("only_theirs", "only_ours")


async def test_rounding_is_told_as_such(ledger: Context) -> None:
    """Less than a cent."""
    await record(ledger, BOOK, mine("gpt-4o", 1_234_567, 0))
    await take(ledger, page((0, [cost("gpt-4o, input", 3.09)])), "openai-costs")

    [row] = (await report(ledger)).rows

    assert (row.state, row.explanations) == ("rounding", ["Rounding on the bill."])


async def test_a_sum_without_models_is_beside_all_of_ours(ledger: Context) -> None:
    """Costs that are not grouped are compared with the provider's whole day."""
    await record(ledger, BOOK, mine("gpt-4o", 1_000_000, 0), mine("o3", 1_000_000, 0))
    await take(ledger, page((0, [cost(None, 4.5)])), "openai-costs")

    found = await report(ledger)

    assert ("same", Decimal("4.5")) == (by_model(found)["*"].state, by_model(found)["*"].our_cost)
    assert (Decimal("4.5"), Decimal("4.5")) == (found.their_cost, found.our_cost)


async def test_days_without_a_statement_are_not_compared(ledger: Context) -> None:
    """They are counted instead; another provider's statement does not cover them."""
    await record(ledger, BOOK, mine("gpt-4o", 10, 0, 0), mine("gpt-4o", 10, 0, 1), call("m1", 1, 1))
    await take(ledger, page((0, [cost("gpt-4o, input", 1)])), "openai-costs")
    await take(ledger, ANTHROPIC_COSTS_CSV, "anthropic-costs")

    found = await report(ledger, provider="OpenAI")

    assert [date(2025, 12, 1)] == [row.day for row in found.rows]
    assert found.days_without_statement == 1
    assert (await report(ledger.within("default"))).rows == []


async def test_ranges_that_cannot_be(ledger: Context) -> None:
    """Backwards, or years of days."""
    with pytest.raises(BadInput, match="ends before"):
        await difference.report(ledger, day(3), day(1), None)
    with pytest.raises(BadInput, match="more than 400"):
        await difference.report(ledger, day(-900), day(1), None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Claude Sonnet 4.5", "claude-sonnet-4-5-20250929"),
        ("Claude Haiku 3.5", "claude-3-5-haiku-20241022"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("*", "*"),
    ],
)
def test_names_of_one_model_are_alike(one: str, other: str) -> None:
    """The bill and the wire write it differently."""
    assert alike(one) == alike(other)


def test_names_of_different_models_are_not() -> None:
    """Numbers keep their order."""
    assert len({alike(name) for name in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-1.4", "gpt-4")}) == 5


async def test_unpriced_calls_by_reason_with_what_to_do(ledger: Context) -> None:
    """The most first; each with an example and the price to add, or why none can help."""
    mute = msgspec.structs.replace(call("m1", 1, 1), usage=None)
    last = call("m3-2025-10-01", 7, 8, at=day(2))
    await record(ledger, OLD, call("m3-2025-10-01", 5, 6), last, mute, call("m1", 1, 1))

    found = await unpriced.groups(ledger, TraceFilter())

    first, second = found
    assert (
        first.provider, first.model, first.reason, first.calls, first.input_tokens, first.output_tokens,
    ) == ("acme", "m3-2025-10-01", "unknown_model", 2, 12, 14)  # fmt: skip
    assert (BEGIN, day(2), last.trace_id, last.span_id) == (first.first, first.last, first.trace_id, first.span_id)
    assert "gimbal prices set --provider acme --model m3 --valid-from 2025-12-01 " in first.command
    assert (second.reason, second.input_tokens, second.command) == ("no_usage", None, "")
    assert await unpriced.count(ledger, TraceFilter()) == 3


async def test_once_there_is_a_price_the_very_command_is_told(ledger: Context) -> None:
    """And after it nothing of it is unpriced."""
    await record(ledger, OLD, call("m3", 5, 6))
    ledger.services.register(PriceSource, NEW)

    [found] = await unpriced.groups(ledger, TraceFilter())
    await rerated(ledger, NEW)

    assert found.command.startswith("gimbal pricing rerate --from 2025-12-01 --provider acme --model m3 ")
    assert await unpriced.groups(ledger, TraceFilter()) == []
    assert await unpriced.groups(ledger.within(f"{ledger.project}-b"), TraceFilter()) == []
