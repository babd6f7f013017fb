"""Providers' exports are taken whole or not at all, once, and with the reason for every line that is not."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest
from tests.axis.ledger import exports
from tests.axis.ledger.exports import cost, encoded, page, used

from gimbal.axis.ledger import statements
from gimbal.axis.ledger.model import Statement
from gimbal.axis.ledger.statements import Import
from gimbal.axis.pricing.model import Exchange
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, CorruptUpload, NotFound


async def take(ctx: Context, body: bytes, format_: str, **more: object) -> Statement:
    return await statements.take(ctx, body, Import(format=format_, **more))  # type: ignore[arg-type]


async def stored(ctx: Context) -> list[tuple[str, str, Decimal | None, int | None, int | None]]:
    found = await statements.lines_between(ctx, date(2025, 1, 1), date(2026, 12, 31), None)
    return sorted(
        ((row["day"], row["model"], row["cost"], row["input_tokens"], row["output_tokens"]) for row in found), key=str
    )


async def test_openai_usage(ledger: Context) -> None:
    """Tokens and requests by day and model, of one page or a list of them."""
    one = page((0, [used("gpt-4o-2024-08-06", 1000, 500, 5), used("o3", 7, 8, batch=True)]), (1, []))
    two = page((1, [used("gpt-4o-2024-08-06", 1, 2, 3)]))

    found = await take(ledger, b"[" + one + b"," + two + b"]", "openai-usage")

    assert (
        found.lines, found.rejected_lines, found.input_tokens, found.output_tokens, found.cost,
    ) == (3, 0, 1008, 510, None)  # fmt: skip
    assert (date(2025, 12, 1), date(2025, 12, 2)) == (found.first_day, found.last_day)
    assert await stored(ledger) == [
        ("2025-12-01", "gpt-4o-2024-08-06", None, 1000, 500),
        ("2025-12-01", "o3", None, 7, 8),
        ("2025-12-02", "gpt-4o-2024-08-06", None, 1, 2),
    ]


async def test_openai_costs_to_the_last_digit(ledger: Context) -> None:
    """What JSON writes as a number is not made a float; items belong to the model in front of the comma."""
    body = (
        b'{"data":[{"start_time":1764547200,"end_time":1764633600,"results":['
        + b",".join(
            b'{"amount":{"value":%s,"currency":"usd"},"line_item":"gpt-4o, %s"}' % pair
            for pair in ((b"0.1234567890123456789", b"input"), (b"1e-7", b"output"), (b"-0.5", b"credit"))
        )
        + b"]}]}"
    )

    found = await take(ledger, body, "openai-costs")

    assert found.cost == Decimal("0.1234567890123456789") + Decimal("1e-7") - Decimal("0.5")
    assert {"gpt-4o"} == {row[1] for row in await stored(ledger)}


async def test_the_dashboards_csv_with_a_bad_line(ledger: Context) -> None:
    """The bad line is told by its number, an empty day is nothing, the others are stored."""
    found = await take(ledger, exports.OPENAI_COSTS_CSV, "openai-costs", filename="costs.csv")

    assert (2, Decimal(1), 1) == (found.lines, found.cost, found.rejected_lines)
    assert (found.rejected[0].line, found.rejected[0].reason) == (5, "the amount is 'many', not an amount.")


@pytest.mark.parametrize(
    ("body", "format_"),
    [
        pytest.param(encoded(exports.ANTHROPIC_USAGE), "anthropic-usage", id="json"),
        pytest.param(exports.ANTHROPIC_USAGE_CSV.rsplit(b"2025-12-02", 1)[0], "anthropic-usage", id="csv"),
    ],
)
async def test_anthropic_usage_has_cached_input_added(ledger: Context, body: bytes, format_: str) -> None:
    """1000 + 300 read + 20 and 10 written are 1330 of input."""
    found = await take(ledger, body, format_)

    assert (found.input_tokens, found.output_tokens) == (1330, 50)


@pytest.mark.parametrize(
    ("body", "dollars"),
    [
        pytest.param(encoded(exports.ANTHROPIC_COSTS), Decimal("1.2545"), id="cents of the api"),
        pytest.param(exports.ANTHROPIC_COSTS_CSV, Decimal("1.28"), id="dollars of the console"),
    ],
)
async def test_anthropic_costs(ledger: Context, body: bytes, dollars: Decimal) -> None:
    """The API has cents, the console dollars; what has no model is told by its kind."""
    found = await take(ledger, body, "anthropic-costs")

    assert dollars == found.cost
    assert "web_search" in {row[1] for row in await stored(ledger)}


async def test_any_table_by_its_columns(ledger: Context) -> None:
    """Semicolons, other names, several lines that say the same of themselves, and another currency."""
    table = (
        b"Datum;Modell;Betrag;W\xc3\xa4hrung\n2025-12-01;mistral-large;1.50;EUR\n2025-12-01;mistral-large;1.50;EUR\n"
    )
    ledger.services.register(
        PriceSource, PriceBook([], "eur", [Exchange(currency="EUR", valid_from=date(2025, 1, 1), usd=Decimal("1.1"))])
    )

    found = await take(
        ledger, table, "csv", provider="Mistral",
        columns=("day=Datum", "model=Modell", "cost=Betrag", "currency=Währung"),
    )  # fmt: skip

    assert ("mistral", 2, Decimal("3.3")) == (found.provider, found.lines, found.cost)


async def test_a_currency_without_a_rate_is_rejected_not_taken_as_dollars(ledger: Context) -> None:
    """One line in yen, one in dollars: one is stored."""
    found = await take(ledger, page((0, [cost("a, x", 5, "jpy"), cost("a, y", 5)])), "openai-costs")

    assert (1, Decimal(5), "the price book has no rate for JPY on 2025-12-01.") == (
        found.lines,
        found.cost,
        found.rejected[0].reason,
    )


async def test_the_same_file_and_the_same_line_count_once(ledger: Context) -> None:
    """A file sent again changes nothing; one that overlaps replaces the lines that it has anew."""
    early = page((0, [used("m", 10, 1)]), (1, [used("m", 20, 2)]))
    later = page((1, [used("m", 25, 3)]), (2, [used("m", 30, 4)]))

    first = await take(ledger, early, "openai-usage")
    again = await take(ledger, early, "openai-usage")
    second = await take(ledger, later, "openai-usage")
    old_again = await take(ledger, early, "openai-usage")

    assert (False, True, first.id) == (first.repeated, again.repeated, again.id)
    assert (second.lines, second.replaced) == (2, 1)
    assert old_again.repeated
    assert [row[3] for row in await stored(ledger)] == [10, 25, 30]


async def test_two_at_once_are_one(ledger: Context) -> None:
    """Of the same file sent twice at the same moment one is stored."""
    body = page((0, [used("m", 10, 1)]))

    both = await asyncio.gather(*(take(ledger, body, "openai-usage") for _ in range(4)))

    assert sorted(one.repeated for one in both) == [False, True, True, True]
    assert len(await stored(ledger)) == 1


async def test_the_same_figures_in_another_form_are_refused(ledger: Context) -> None:
    """By hour and by day, or grouped by key and not, would count twice; nothing of it is stored."""
    kept = await take(ledger, page((0, [used("m", 10, 1)])), "openai-usage")
    before = await stored(ledger)

    with pytest.raises(Conflict, match="would count twice") as refused:
        await take(ledger, page((0, [used("m", 10, 1, api_key_id="key_1")]), (1, [])), "openai-usage")
    other = await take(ledger, page((0, [used("m", 9, 1, api_key_id="k")])), "openai-usage", account="second")
    beside = await take(ledger, page((0, [cost("m, input", 1)])), "openai-costs")

    assert kept.id in refused.value.todo
    assert len(await stored(ledger)) == len(before) + 2
    assert (other.lines, beside.lines) == (1, 1)


async def test_a_removed_statement_takes_its_lines_along(ledger: Context) -> None:
    """And can be imported again."""
    body = page((0, [used("m", 10, 1)]))
    found = await take(ledger, body, "openai-usage")

    await statements.remove(ledger, found.id)
    with pytest.raises(NotFound):
        await statements.remove(ledger, found.id)
    after = await stored(ledger)
    again = await take(ledger, body, "openai-usage")

    assert after == []
    assert not again.repeated


async def test_another_project_has_its_own(ledger: Context) -> None:
    """The same file in two projects is two statements, and neither sees or removes the other's."""
    body = page((0, [used("m", 10, 1)]))
    mine = await take(ledger, body, "openai-usage")
    other = ledger.within("default")

    with pytest.raises(NotFound):
        await statements.remove(other, mine.id)
    theirs = await take(other, body, "openai-usage")
    listed = await statements.page(other, cursor=None, limit=10)

    assert not theirs.repeated
    assert [theirs.id] == [one.id for one in listed.items]


BAD = {
    "a format that is not known": (b"{}", {"format_": "openai"}, BadInput, "cannot be 'openai'"),
    "no json": (b"[1, 2", {"format_": "openai-usage"}, CorruptUpload, "not JSON"),
    "no buckets": (b'{"error": {}}', {"format_": "openai-usage"}, CorruptUpload, "no buckets"),
    "not text": (b"\xff\xfe\x00", {"format_": "openai-usage"}, CorruptUpload, "not UTF-8"),
    "pages missing": (page((0, [used("m", 1, 1)]), has_more=True), {"format_": "openai-usage"}, BadInput, "goes on"),
    "empty": (b"", {"format_": "openai-usage"}, BadInput, "it has none"),
    "other columns": (b"a,b\n1,2\n", {"format_": "anthropic-costs"}, BadInput, "'usage_date_utc'"),
    "no model": (page((0, [used(None, 1, 1)])), {"format_": "openai-usage"}, BadInput, "grouped by model"),
    "negative tokens": (page((0, [used("m", -1, 1)])), {"format_": "openai-usage"}, BadInput, "not a count"),
    "half a token": (page((0, [used("m", 1.5, 1)])), {"format_": "openai-usage"}, BadInput, "not a count"),
    "too much money": (page((0, [cost("m", 1e300)])), {"format_": "openai-costs"}, BadInput, "not an amount"),
    "a month": (
        encoded({"data": [{"start_time": 0, "end_time": 10**7, "results": [used("m", 1, 1)]}]}),
        {"format_": "openai-usage"}, BadInput, "more than a day",
    ),
    "a table of nobody": (b"d\n1\n", {"format_": "csv"}, BadInput, "whose it is"),
    "a table without a mapping": (b"d\n1\n", {"format_": "csv", "provider": "x"}, BadInput, "needs a day"),
    "a mapping of nothing": (
        b"d\n1\n", {"format_": "csv", "provider": "x", "columns": ("when=d",)}, BadInput, "does not say",
    ),
    "half of the tokens": (
        b"d,m,i\n", {"format_": "csv", "provider": "x", "columns": ("day=d", "model=m", "input_tokens=i")}, BadInput,
        "belong together",
    ),
    "columns that are known": (b"{}", {"format_": "openai-usage", "columns": ("day=d",)}, BadInput, "are known"),
    "infinite": (
        b"d,m,c\n2025-12-01,m,inf\n",
        {"format_": "csv", "provider": "x", "columns": ("day=d", "model=m", "cost=c")}, BadInput, "not an amount",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_taken_says_why_and_leaves_nothing(ledger: Context, name: str) -> None:
    """Each with the error that names it; no statement and no line is there afterwards."""
    body, asked, kind, says = BAD[name]

    with pytest.raises(kind, match=says):
        await take(ledger, body, **asked)

    assert await stored(ledger) == []
    assert (await statements.page(ledger, cursor=None, limit=10)).items == []


@pytest.mark.parametrize("format_", [name for name in statements.FORMATS if name != "csv"])
@pytest.mark.parametrize(
    "body", [b"null", b"[null]", b'{"data": 5}', b'{"data": [[], {"results": [[], null, 5]}]}', b"\0,\0\n", b'"x'],
    ids=["null", "nulls", "number", "lists", "zeros", "quote"],
)  # fmt: skip
async def test_nonsense_is_an_error_of_ours(ledger: Context, format_: str, body: bytes) -> None:
    """Whatever stands in a file, it is refused with a message."""
    with pytest.raises((BadInput, CorruptUpload)):
        await take(ledger, body, format_)
