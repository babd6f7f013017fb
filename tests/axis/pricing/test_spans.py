"""Prices of one's own where calls are stored: which spans have them, what a change says of those, and what is counted."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.priced_calls import PricedCalls
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.ids import new_id
from gimbal.testing.clock import FrozenClock

DAY = datetime(2026, 1, 1, 6, tzinfo=UTC)


@pytest.fixture
async def project(axis: Services, ctx: Context) -> Context:
    """Give a project that no other test writes to."""
    slug = f"p{new_id()[-12:]}"
    await axis.get(Projects).create(ctx, CreateProject(slug=slug))
    axis.register(Counters, Counters())
    return ctx.within(slug)


@pytest.fixture
def counted(axis: Services, catalog: Catalog, columns: Columns, clock: FrozenClock) -> Prices:
    """Give prices that know the stored calls."""
    found = Prices(catalog, clock, PricedCalls(columns))
    axis.register(Traces, Traces(columns, axis.get(Writer), found))
    assert axis.has(Blobs)
    return found


def span(number: int, model: str = "gpt-4o", **fields: Any) -> Span:
    begins = to_us(fields.pop("at", DAY)) + number
    usage = Usage(input=1_000_000)
    return Span(
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        name="chat",
        kind="llm",
        start_us=begins,
        end_us=begins + 1000,
        **({"provider": "openai", "model": model, "usage": usage} | fields),
    )


async def stored(ctx: Context, number: int) -> tuple[Decimal | None, str, str]:
    found = (await ctx.get(Traces).get(ctx, f"{number:032x}")).spans[0]
    return found.cost, found.unpriced, found.price_book


async def test_a_span_has_the_price_of_its_project_and_names_it(
    counted: Prices, project: Context, flights: Context
) -> None:
    """From the next span on, in this project alone; what is stored stays, and the change says how many and what to run."""
    record = project.get(Traces).record
    await record(project, [span(1), span(2, "gpt-4o-2024-08-06"), span(3, "gpt-4o-mini"), span(4, "gpt_4o")])
    book = counted.snapshot.version
    change = await counted.set(project, SetPrice(provider="openai", model="gpt-4o", factor=Decimal("0.8")))
    assert (change.stored_calls, change.todo) == (
        2,
        f'gimbal pricing rerate --from 2026-01-01 --project {project.project} --reason "price p1"',
    )
    await record(project, [span(5)])
    assert await stored(project, 1) == (Decimal("2.5"), "", book)
    assert await stored(project, 5) == (Decimal(2), "", f"{book}+p1")
    gone = await counted.remove(project, "p1")
    assert (gone.stored_calls, bool(gone.todo)) == (1, True)
    await record(project, [span(6)])
    assert await stored(project, 6) == (Decimal("2.5"), "", book)
    cost = (await counted.at(project.project or "", f"{book}+p1")).price(
        "openai", "gpt-4o", DAY, Usage(input=1_000_000)
    )
    assert cost.amount == Decimal(2)


async def test_a_count_of_stored_calls_goes_by_days_and_patterns(counted: Prices, project: Context) -> None:
    """`*` is any characters, `_` and `%` mean themselves, and other providers are others."""
    record = project.get(Traces).record
    await record(project, [span(1, "a_b"), span(2, "aXb"), span(3, "a%b"), span(4, "A_B", provider="OpenAI")])
    await record(project, [span(5, "a_b", at=datetime(2025, 12, 31, 23, tzinfo=UTC)), span(6, "a_b", provider="mine")])
    calls, slug = PricedCalls(project.get(Columns)), project.project
    since, until = DAY.date(), datetime(2026, 1, 2, tzinfo=UTC).date()
    assert await calls.of_model(slug, "openai", ["a_b"], since, None) == 2
    assert await calls.of_model(slug, "openai", ["a*b"], since, until) == 4
    assert await calls.of_model(slug, "openai", ["a%b", "none"], since, None) == 1
    assert await calls.of_model(slug, "openai", ["a_b"], datetime(2025, 12, 1, tzinfo=UTC).date(), since) == 1
    assert await calls.of_model("none", "openai", ["*"], since, None) == 0
    assert await calls.of_model(None, "mine", ["a_b' OR 1=1 --"], since, None) == 0


async def test_what_is_stored_without_a_price_is_counted_by_its_reason(counted: Prices, project: Context) -> None:
    """A bounded number of labels, whatever names senders choose."""
    record = project.get(Traces).record
    spans = [span(1, "nobody-knows"), span(2, "or-this"), span(3, usage=None), span(4)]
    spans.append(span(5, usage=Usage(input=1, requests={"tool of mine": 2})))
    await record(project, spans)
    samples = project.get(Counters).samples()
    found = {s.labels["reason"]: s.value for s in samples if s.name == "gimbal_unpriced_total"}
    assert found == {"unknown_model": 2, "no_usage": 1, "no_price": 1}
