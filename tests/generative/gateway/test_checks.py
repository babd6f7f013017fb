"""A check that asks a model for a word is a call like any other in what it costs: it is recorded, whatever comes of it."""

from decimal import Decimal

import httpx
import pytest
from tests.upstreams import Upstream

from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.providers import operations
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.kernel.context import Context

# Importing it fills the table of operations.
ROOMS = (operations,)
PATH = "/api/v1/projects/default/providers"


@pytest.fixture(autouse=True)
def _service(ctx: Context, catalog: Catalog) -> None:
    ctx.services.register(ProviderService, ProviderService(catalog, ctx.get(Providers)))


async def checks(ctx: Context) -> list[Span]:
    """Return the spans of checks."""
    found = await ctx.get(Traces).page(ctx, TraceFilter(feature="gimbal.check"))
    return [(await ctx.get(Traces).get(ctx, row.trace_id)).spans[0] for row in found.items]


async def test_a_word_that_was_answered_has_its_cost(http: httpx.AsyncClient, ctx: Context, upstream: Upstream) -> None:
    """At the price of the model, with what was asked and said."""
    before = {one.span_id for one in await checks(ctx)}
    reply = await http.post(f"{PATH}/openai/check", params={"model": "gpt-4o-mini"})
    assert reply.json()["ok"], reply.text
    (span,) = [one for one in await checks(ctx) if one.span_id not in before]
    # 13·0.15 + 8·0.075 + 5·0.6 millionths
    assert (span.status, span.cost, span.estimated) == ("ok", Decimal("5.55") / 1_000_000, False)
    assert (span.provider, span.model, span.endpoint) == ("openai", "gpt-4o-mini", "providers.check")
    assert "Say yes." in span.input
    assert span.output
    assert len(upstream.received) == 1


async def test_a_word_that_was_refused_is_recorded_and_costs_nothing(
    http: httpx.AsyncClient, ctx: Context, upstream: Upstream
) -> None:
    """Asked once: a check is to see what the provider says."""
    before = {one.span_id for one in await checks(ctx)}
    upstream.faults = [500]
    reply = await http.post(f"{PATH}/up/check", params={"model": "tiny"})
    assert reply.json()["ok"] is False
    (span,) = [one for one in await checks(ctx) if one.span_id not in before]
    assert (span.status, span.usage, span.cost, span.unpriced) == ("error", None, None, "not_answered")
    assert "had an error" in span.status_message
    assert len(upstream.received) == 1


async def test_asking_for_the_models_is_no_call(http: httpx.AsyncClient, ctx: Context, upstream: Upstream) -> None:
    """It costs nothing, and there is nothing to record."""
    before = len(await checks(ctx))
    assert (await http.post(f"{PATH}/up/check")).json()["ok"]

    assert len(await checks(ctx)) == before
    assert upstream.received == []
