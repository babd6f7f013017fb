"""Prices as they are listed, found and followed: by whoever asks, in every process, and while the catalog is away."""

import asyncio
import itertools
import multiprocessing
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gimbal.axis.pricing import operations
from gimbal.axis.pricing.finding import FindPrice
from gimbal.axis.pricing.model import RATES, TOKENS, Usage
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.service import PriceBook
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
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


async def test_a_list_goes_on_where_it_ended_while_prices_come(prices: Prices, ctx: Context) -> None:
    """Each row once, in order, whatever is set meanwhile."""
    seen: list[str] = []
    cursor = None
    for number in itertools.count():
        page = await prices.page(ctx, cursor=cursor, limit=7)
        seen += [row.place for row in page.items]
        await prices.set(ctx, body(f"aaa-{number}", "aaa"))
        if (cursor := page.next) is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) >= len(PriceBook.read().all())
    for wrong in ("x", "eyJhZnRlciI6MX0"):
        with pytest.raises(BadInput):
            await prices.page(ctx, cursor=wrong)
    with pytest.raises(BadInput):
        await prices.page(ctx, at=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_search_finds_names_patterns_and_moments(prices: Prices, ctx: Context) -> None:
    """By a part of the name, by a pattern, by what a pattern of prices fits, and by what counts at a moment."""
    await put(ctx, model="gpt-4*")

    async def names(**asked: Any) -> set[str]:
        return {f"{row.name}:{row.model}" for row in (await prices.page(ctx, limit=1000, **asked)).items}

    book = prices.snapshot.version
    assert {"p1:gpt-4*", f"{book}:gpt-4o"} <= await names(provider="OpenAI", model="gpt-4o")
    assert await names(model="gpt-4o*", layer="project") == set()
    assert f"{book}:gpt-4o-mini" in await names(model="*mini")
    standing = (await prices.page(ctx, provider="openai", model="gpt-4o", tier="batch", at=NOW)).items
    assert {row.state for row in standing} == {"in force"}


def test_every_class_can_be_set_and_asked_for() -> None:
    """A class that is added to prices or usage must be added here, too."""
    assert set(RATES) <= set(SetPrice.__struct_fields__)
    assert {*TOKENS, "requests", "tier"} <= set(FindPrice.__struct_fields__)


async def test_finding_tells_the_cost_by_class_and_why(prices: Prices, ctx: Context) -> None:
    """The chain of what counts, in the words of its layers; a model that nobody knows is unpriced and told so."""
    await put(ctx, factor="0.88")
    await put(ctx.within(None), model="gpt-*", input="2", output="10", cache_read="1")
    asked = FindPrice(provider="openai", model="gpt-4o-2024-08-06", input=1000, cache_read=500, output=10)
    found = await invoke(find("prices.find"), ctx, {"project": "default", "body": asked})
    assert found.cost == Decimal("0.00229") + Decimal("0.00044") - Decimal("0.00044") - Decimal("0.000002")
    assert found.parts == {
        "input": Decimal("0.00176"), "cache_read": Decimal("0.00044"), "output": Decimal("0.000088")
    }  # fmt: skip
    assert [entry.name for entry in found.entries] == ["p1", "i1"]
    assert found.why[0].startswith("p1 of this project by name gpt-4o, from 2026-01-01: times 0.88")
    assert found.why[1].startswith("i1 of the installation by pattern gpt-*")
    unknown = await prices.find(ctx, FindPrice(provider="nobody", model="nothing", input=1))
    assert (unknown.cost, unknown.unpriced, unknown.entries) == (None, "unknown_model", [])
    assert "no book has nobody/nothing" in unknown.why[0]
    for version in ("2020-01-01", "x+y", "+p1", f"{prices.snapshot.version}+p9", "p1"):
        with pytest.raises(NotFound):
            await prices.find(ctx, FindPrice(provider="p", model="m", version=version))


def _price_in_another_process(address: str, wanted: str, ready: Any, told: Any) -> None:
    async def follow() -> None:
        catalog = Catalog.open(address)
        prices = Prices(catalog, SystemClock())
        await prices.of("default")
        ready.set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = (await prices.of("default")).price("openai", "gpt-4o", datetime.now(UTC), ONE)
            if str(found.amount) == wanted:
                told.put(time.time())
                break
            await asyncio.sleep(0.005)
        await catalog.close()

    asyncio.run(follow())


async def test_another_process_follows_within_a_second(prices: Prices, ctx: Context, catalog_address: str) -> None:
    """On both engines: from the commit until it is counted with."""
    await prices.of("default")
    fresh = multiprocessing.get_context("spawn")
    ready, told = fresh.Event(), fresh.Queue()
    other = fresh.Process(target=_price_in_another_process, args=(catalog_address, "1.75", ready, told))
    other.start()
    assert await asyncio.to_thread(ready.wait, 30)
    await put(ctx, input="1.75")
    done = time.time()
    seen = await asyncio.to_thread(told.get, timeout=20)
    other.join(20)
    assert seen - done < 1.0


async def test_prices_go_on_to_hold_while_the_catalog_is_away(
    prices: Prices, ctx: Context, catalog: Catalog, clock: FrozenClock
) -> None:
    """What was known counts; a process that never knew any says so instead of counting without contracts."""
    await put(ctx, input="1")
    before = await dollars(prices)
    away = Catalog.open("postgresql://nobody@127.0.0.1:1/none")
    prices.snapshot._catalog = away
    prices.snapshot.forget()
    assert await dollars(prices) == before
    with pytest.raises(GimbalError) as refused:
        await Prices(away, clock).of("default")
    assert refused.value.status == 503
    await away.close()
