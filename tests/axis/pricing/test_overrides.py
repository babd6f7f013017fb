"""Prices of one's own: which layer counts, what is refused, what is kept, who sees them, and how soon they hold."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.pricing import operations
from gimbal.axis.pricing.finding import FindPrice
from gimbal.axis.pricing.layers import Layers, Version
from gimbal.axis.pricing.lookup import Lookup
from gimbal.axis.pricing.model import RATES, Price, Usage
from gimbal.axis.pricing.overrides import Override, SetPrice, scaled
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.audit import AuditLog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NotFound, NotReady
from gimbal.kernel.operations import find, invoke
from gimbal.testing.clock import FrozenClock

assert operations  # it fills the table of operations
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE = Usage(input=1_000_000)


def body(model: str = "gpt-4o", provider: str = "openai", **fields: Any) -> SetPrice:
    if "factor" not in fields:
        fields = {"input": "2", "output": "8"} | fields
    return msgspec.convert({"provider": provider, "model": model, **fields}, SetPrice)


async def put(ctx: Context, **fields: Any) -> str:
    name = "prices.set" if ctx.project else "prices.set_everywhere"
    arguments = {"project": ctx.project} if ctx.project else {}
    found = await invoke(find(name), ctx, {**arguments, "body": body(**fields)})
    return found.price.name


async def dollars(prices: Prices, project: str = "default", model: str = "gpt-4o", **more: Any) -> tuple[Any, str]:
    found = (await prices.of(project)).price("openai", model, more.pop("at", NOW), Usage(input=1_000_000, **more))
    return found.amount, found.book_version


@pytest.mark.parametrize(
    ("own", "installation", "expected"),
    [
        ((), (), "2.5@B"),
        (("p",), (), "1@B+p1"),
        ((), ("i",), "2@B+i1"),
        (("p",), ("i",), "1@B+p1"),
        (("p*",), ("i",), "1@B+p1"),
        (("p*", "p"), ("i",), "1@B+p2"),
        (("alias", "p*"), ("i",), "1@B+p1"),
        (("other",), ("i*",), "2@B+i1"),
        (("x.5",), ("i",), "1@B+i1+p1"),
        (("x.5",), ("ix.5",), "0.625@B+i1+p1"),
        (("everything x.5", "p"), (), "1@B+p2"),
        (("everything x.5",), (), "1.25@B+p1"),
        (("batch",), (), "2.5@B"),
    ],
)
async def test_the_first_layer_that_has_anything_counts(
    prices: Prices, ctx: Context, own: tuple[str, ...], installation: tuple[str, ...], expected: str
) -> None:
    """Project over installation over book; within one a name before an alias before a pattern; factors multiply."""
    kinds: dict[str, dict[str, Any]] = {
        "p": {"input": "1"},
        "p*": {"model": "gpt-4*", "input": "1"},
        "alias": {"model": "mine", "aliases": ["gpt-4o"], "input": "1"},
        "other": {"model": "gpt-4o-mini", "input": "1"},
        "x.5": {"factor": "0.5"},
        "everything x.5": {"model": "*", "factor": "0.5"},
        "batch": {"tier": "batch", "input": "1"},
        "i": {"input": "2"},
        "i*": {"model": "gpt-4*", "input": "2"},
        "ix.5": {"factor": "0.5"},
    }
    for number, kind in enumerate(own, 1):
        # A pattern beside a name of the same layer is no overlap.
        assert await put(ctx, **kinds[kind]) == f"p{number}"
    for kind in installation:
        assert await put(ctx.within(None), **kinds[kind]) == "i1"

    amount, version = await dollars(prices)
    book = prices.snapshot.version
    assert f"{amount.normalize():f}@{version.replace(book, 'B')}" == expected
    # What a span names leads to the same price again.
    again = (await prices.at("default", version)).price("openai", "gpt-4o", NOW, ONE)
    assert (again.amount, again.book_version) == (amount, version)


async def test_a_project_without_prices_of_its_own_shares_one_book(prices: Prices, ctx: Context) -> None:
    """Nothing is done for its spans that would not be done anyway."""
    assert await prices.of("default") is await prices.of("flights")
    assert isinstance(await prices.of("default"), PriceBook)
    await put(ctx)
    assert isinstance(await prices.of("flights"), PriceBook)
    assert isinstance(await prices.of("default"), Layers)


async def test_prices_of_one_project_are_no_others(
    prices: Prices, ctx: Context, flights: Context, admin: Context
) -> None:
    """Neither by list, nor by search, nor by a version that names them, nor by removing them."""
    name = await put(ctx, input="1.234567", source="secret contract 17")
    everything: list[Any] = []
    cursor = None
    while True:
        page = await prices.page(flights, removed=True, cursor=cursor, limit=20)
        everything += page.items
        if (cursor := page.next) is None:
            break
    shown = msgspec.json.encode(everything)
    assert len(everything) > 90
    assert b"1.234567" not in shown
    assert b"secret" not in shown
    version = f"{prices.snapshot.version}+{name}"
    with pytest.raises(NotFound):
        await prices.find(flights, FindPrice(provider="openai", model="gpt-4o", input=1, version=version))
    with pytest.raises(NotFound):
        await prices.remove(flights, name)
    for op, arguments in (
        ("prices.set", {"project": "flights", "body": body()}),
        ("prices.remove", {"project": "flights", "name": name}),
        ("prices.list", {"project": "flights"}),
        ("prices.find", {"project": "flights", "body": FindPrice(provider="p", model="m")}),
    ):
        with pytest.raises(Forbidden):
            await invoke(find(op), admin.within("flights"), arguments)
    # An admin of a project is not the owner of the installation.
    for op, arguments in (
        ("prices.set_everywhere", {"body": body()}),
        ("prices.remove_everywhere", {"name": "i1"}),
        ("prices.refresh", {}),
    ):
        with pytest.raises(Forbidden):
            await invoke(find(op), admin.within(None), arguments)
    assert (await dollars(prices, "flights"))[0] == Decimal("2.5")
    assert (await dollars(prices))[0] == Decimal("1.234567")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"input": "-1"}, "body: input"),
        ({"input": "NaN"}, "body: input"),
        ({"input": "sNaN", "output": "Infinity"}, "body: input"),
        ({"output": "1e30"}, "body: output"),
        ({"output": "0.0000000001"}, "body: output"),
        ({"input": None}, "input"),
        ({"output": None}, "output"),
        ({"input": "0.0000025", "output": "0.00001"}, "input"),
        ({"input": "2500", "output": "10000"}, "input"),
        ({"model": "unheard-of", "input": "0.000002", "output": "0.00001"}, "input"),
        ({"model": "unheard-of", "input": "0", "output": "0"}, "input"),
        ({"requests": {"web_search": "-1"}}, "body: requests.web_search"),
        ({"currency": "EUR"}, "currency"),
        ({"currency": "euro"}, "body: currency"),
        ({"currency": "EUR", "usd": "0"}, "usd"),
        ({"usd": "1.1"}, "usd"),
        ({"valid_from": "2031-01-01"}, "valid_from"),
        ({"valid_from": "1999-01-01"}, "valid_from"),
        ({"valid_from": "2026-02-01", "valid_until": "2026-02-01"}, "body: valid_until"),
        ({"model": "*"}, "model"),
        ({"model": "**"}, "model"),
        ({"model": "g*"}, "model"),
        ({"model": " "}, "model"),
        ({"provider": "*", "factor": "0.9"}, "provider"),
        ({"provider": ""}, "provider"),
        ({"model": "a*", "factor": "0.9"}, "model"),
        ({"aliases": ["x*"]}, "aliases"),
        ({"aliases": [f"a{n}" for n in range(30)]}, "aliases"),
        ({"note": "a\0b"}, "body"),
        ({"factor": "0"}, "factor"),
        ({"factor": "-0.5"}, "factor"),
        ({"factor": "NaN"}, "factor"),
        ({"factor": "sNaN"}, "factor"),
        ({"factor": "88"}, "factor"),
        ({"factor": "0.12345678901"}, "factor"),
        ({"factor": "0.9", "input": "1"}, "input"),
        ({"factor": "0.9", "cache_read": "0"}, "cache_read"),
        ({"factor": "0.9", "currency": "EUR"}, "currency"),
        ({"factor": "0.9", "valid_from": "2026-02-01", "valid_until": "2026-01-01"}, "valid_until"),
        ({"long_context": {"above": -1, "of": "request", "input": "1"}}, "body: long_context.above"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    prices: Prices, ctx: Context, fields: dict[str, Any], where: str
) -> None:
    """With the place, what was kept, and what to do; and nothing of it counts."""
    before = await dollars(prices)
    given_ = {"provider": "openai", "model": "gpt-4o"} | ({} if "factor" in fields else {"input": "2", "output": "8"})
    with pytest.raises(BadInput) as refused:
        await prices.set(ctx, msgspec.convert(given_ | fields, SetPrice))
    assert refused.value.where == where
    assert refused.value.kept == "the prices as they were"
    assert refused.value.todo
    assert await dollars(prices) == before


@pytest.mark.parametrize("fields", [{"inputs": "1"}, {"tier": "gold"}, {"valid_from": "soon"}, {"confidence": "sure"}])
def test_a_field_that_there_is_not_is_refused(fields: dict[str, Any]) -> None:
    """Also a class of tokens, a tier or a day that nobody knows."""
    with pytest.raises(msgspec.ValidationError):
        body(**fields)


async def test_what_is_unusual_can_be_meant(prices: Prices, ctx: Context) -> None:
    """A contract may make a model free; then it says so, and what is only rather far is remarked."""
    free = await prices.set(ctx, body(input="0", output="0", unusual=True))
    assert free.notes == []
    assert await dollars(prices) == (0, f"{prices.snapshot.version}+p1")
    await prices.remove(ctx, "p1")
    far = await prices.set(ctx, body(input="50", output="8"))
    assert [note.partition(":")[0] for note in far.notes] == ["input"]
    typed = await prices.set(ctx, body("gpt-4o", "opnai"))
    assert "Did you mean 'openai'?" in typed.notes[0]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ({}, {}, True),
        ({}, {"model": "GPT-4o "}, True),
        ({}, {"tier": "batch"}, False),
        ({"factor": "0.9"}, {"tier": "batch"}, True),
        ({}, {"model": "another", "aliases": ["gpt-4o"], "unusual": True}, True),
        ({"valid_until": "2026-02-01"}, {"valid_from": "2026-01-31"}, True),
        ({"valid_until": "2026-02-01"}, {"valid_from": "2026-02-01"}, False),
        ({}, {"valid_from": "2026-02-01"}, False),
        ({"model": "gpt-4*"}, {"model": "gpt-*"}, False),
    ],
)
async def test_two_prices_of_a_layer_cannot_hold_at_once(
    prices: Prices, ctx: Context, flights: Context, first: dict[str, Any], second: dict[str, Any], *, clash: bool
) -> None:
    """Of one model and tier; patterns, other tiers, other days and other layers do not clash."""
    await prices.set(ctx, body(**first))
    if clash:
        with pytest.raises(Conflict) as refused:
            await prices.set(ctx, body(**second))
        assert "p1" in refused.value.message
    else:
        await prices.set(ctx, body(**second))
    await prices.set(flights, body(**second))
    await prices.set(ctx.within(None), body(**second))


async def test_only_one_of_many_at_once_is_set(prices: Prices, ctx: Context) -> None:
    """Whoever comes second is told, and numbers come once."""
    rivals = [prices.set(ctx, body(input="2")) for _ in range(6)]
    others = [prices.set(ctx, body(f"other-{number}")) for number in range(6)]
    done = await asyncio.gather(*rivals, *others, return_exceptions=True)
    problems = [each for each in done if isinstance(each, BaseException)]
    assert [type(each) for each in problems] == [Conflict] * 5
    names = sorted(each.price.name for each in done if not isinstance(each, BaseException))
    assert names == sorted(f"p{number}" for number in range(1, 8))


async def test_a_later_day_is_a_plan_and_takes_over_then(prices: Prices, ctx: Context, clock: FrozenClock) -> None:
    """What is planned is said so, listed so, and counts for calls of its days alone."""
    change = await prices.set(ctx, body(valid_from="2026-03-01"))
    assert (change.effect, change.stored_calls) == ("planned: calls from 2026-03-01 on", 0)
    assert (await dollars(prices))[0] == Decimal("2.5")
    assert (await dollars(prices, at=datetime(2026, 3, 1, tzinfo=UTC)))[0] == 2
    rows = (await prices.page(ctx, layer="project")).items
    assert [(row.name, row.state) for row in rows] == [("p1", "planned")]
    clock.advance(days=60)
    assert [row.state for row in (await prices.page(ctx, layer="project")).items] == ["in force"]
    covered = (await prices.page(ctx, provider="openai", model="gpt-4o", tier="standard", layer="book")).items
    assert "covered" in {row.state for row in covered if row.model == "gpt-4o"}


async def test_a_price_that_was_removed_still_explains_what_it_was_counted_with(
    prices: Prices, ctx: Context, clock: FrozenClock
) -> None:
    """It counts no more, keeps its number, and whoever removed it is known."""
    await put(ctx, input="1")
    amount, version = await dollars(prices)
    await invoke(find("prices.remove"), ctx, {"project": "default", "name": "P1"})
    assert await dollars(prices) == (Decimal("2.5"), prices.snapshot.version)
    again = await prices.find(ctx, FindPrice(provider="openai", model="gpt-4o", input=1_000_000, version=version))
    assert (again.cost, again.entries[0].state, again.entries[0].removed_by) == (amount, "removed", "local owner")
    with pytest.raises(NotReady):
        await prices.remove(ctx, "p1")
    for name in ("p2", "i1", "p", "", "p1x", "p-1", "p٣"):
        with pytest.raises(NotFound):
            await prices.remove(ctx, name)
    assert await put(ctx, input="1.5") == "p2"
    rows = (await prices.page(ctx, layer="project", removed=True)).items
    assert {(row.name, row.state) for row in rows} == {("p1", "removed"), ("p2", "in force")}
    actions = [e.action for e in (await ctx.get(AuditLog).page("default")).items if e.action.startswith("prices.")]
    assert actions == ["prices.set", "prices.remove", "prices.set"]


async def test_what_runs_here_can_be_given_a_price(prices: Prices, ctx: Context) -> None:
    """Machines cost something, too; without one it stays free by the rule."""
    of = await prices.of("default")
    assert of.price("local", "tiny", NOW, ONE).book_version == "rule: local"
    await prices.set(ctx, body("*iny", "local", input="0.5", output="1"))
    found = (await prices.of("default")).price("local", "tiny", NOW, ONE)
    assert (found.amount, found.book_version) == (Decimal("0.5"), f"{prices.snapshot.version}+p1")


async def test_another_currency_is_counted_by_what_the_contract_says(prices: Prices, ctx: Context) -> None:
    """To the last digit."""
    await prices.set(ctx, body(currency="EUR", usd="1.0835", input="2.31"))
    assert (await dollars(prices))[0] == Decimal("2.31") * Decimal("1.0835")


_rate = st.decimals(min_value=0, max_value=1000, places=6)
_rates = st.fixed_dictionaries({"input": _rate, "output": _rate}, optional=dict.fromkeys(RATES[2:], _rate))
_usages = st.fixed_dictionaries(dict.fromkeys(("input", "output", "cache_read", "reasoning"), st.integers(0, 10**9)))
_factor = st.decimals(min_value="0.001", max_value=10, places=4)


@settings(max_examples=200)
@given(rates=_rates, usage=_usages, factor=_factor, second=_factor)
def test_a_factor_multiplies_the_cost_to_the_last_digit(
    rates: dict[str, Decimal], usage: dict[str, int], factor: Decimal, second: Decimal
) -> None:
    """Whatever the prices, the usage and how many factors stand above each other."""
    price = Price(provider="p", model="m", valid_from=date(2025, 1, 1), **rates)
    book = PriceBook([price], "2026-01-01")
    given_ = Usage(**usage)
    common: dict[str, Any] = {"provider": "p", "model": "*", "valid_from": date(2025, 1, 1), "set_at": NOW}
    own = Override(scope="a", number=1, factor=factor, set_by="x", **common)
    shared = Override(scope="", number=4, factor=second, set_by="x", **common)
    plain = book.price("p", "m", NOW, given_).amount
    found = Layers([Lookup([own]), Lookup([shared])], [book]).price("p", "m", NOW, given_)
    assert plain is not None
    assert found.amount == plain * factor * second
    assert found.book_version == "2026-01-01+i4+p1"
    assert Version.parse(found.book_version) == Version("2026-01-01", ((False, 4), (True, 1)))
    assert scaled(scaled(price, factor), second).input == price.input * factor * second


@settings(max_examples=300)
@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"\A[0-9-]{0,10}(\+[pi]?[0-9]{0,12}){0,3}\Z")))
def test_any_text_is_a_version_or_is_none(text: str) -> None:
    """And one that is read says the same when it is written again."""
    found = Version.parse(text)
    if found is not None:
        marks = [f"+{'p' if own else 'i'}{number}" for own, number in found.overrides]
        assert Version.parse(found.book + "".join(marks)) == found
