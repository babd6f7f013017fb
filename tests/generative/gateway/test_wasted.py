"""Attempts that were billed though nobody got their answer: each has a span of its own and the price of its own provider."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.generative.gateway.test_faults import HELLO
from tests.upstreams import WORDS, Upstream

from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.choose import ChoosingClient
from gimbal.generative.gateway.provider import Answer, Provider
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.routes.service import publish
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

# gpt-4o-mini at 0.15, 0.075 cached, 0.60: 13·0.15 + 8·0.075 + 5·0.6
PRICE = Decimal("5.55") / 1_000_000
HEDGED = """
name = "hedged"
targets = ["plain/gpt-4o-mini", "named/gpt-4o-mini"]
[resilience.hedge]
after_s = 0.001
share = 1
to = "next"
"""
FILTERED = """
name = "filtered"
targets = ["named/gpt-4o-mini", "plain/gpt-4o-mini"]
[resilience]
fall_back_on = ["content_filter"]
[resilience.retry]
attempts = 1
"""


class _Held:
    """A provider whose answers are all there before the first of them is handed on."""

    def __init__(self, provider: Provider, meeting: "Meeting") -> None:
        self._provider = provider
        self._meeting = meeting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def open(self, *asked: Any) -> Answer:
        answer = await self._provider.open(*asked)
        await self._meeting.come()
        return answer


class Meeting(Providers):
    """Providers of which two answer at the same moment, once `number` says how many are awaited."""

    number = 1

    async def get(self, project: str, name: str) -> Any:
        """Return a provider that waits for the other one."""
        return _Held(await super().get(project, name), self)

    async def come(self) -> None:
        """Wait until as many have answered as are awaited."""
        self.number -= 1
        if self.number == 0:
            self.all_here.set()
        if self.number >= 0:
            await self.all_here.wait()

    def await_(self, number: int) -> None:
        """Let so many answers come together."""
        self.number, self.all_here = number, asyncio.Event()


@pytest.fixture
async def providers(upstream: Upstream) -> AsyncIterator[Meeting]:
    """Give `plain`, which the price book does not know, and `named`, which it knows under another name than its own."""
    url = f"{upstream.url}/v1"
    given = (
        ProviderSettings(name="plain", kind="openai", base_url=url),
        ProviderSettings(name="named", kind="openai", base_url=url, pricing="openai"),
    )
    found = Meeting(GatewaySettings(providers=given), ChoosingClient(), environ={})
    found.await_(1)
    yield found
    await found.aclose()


async def spans_of(ctx: Context, reply: httpx.Response, number: int) -> list[Span]:
    """Return the spans of an answered call once there are so many."""
    assert reply.status_code == 200, reply.text
    async with asyncio.timeout(10):
        while True:
            try:
                spans = (await ctx.get(Traces).get(ctx, reply.headers["x-gimbal-trace-id"])).spans
                if len(spans) >= number:
                    return sorted(spans, key=lambda one: one.start_us)
            except NotFound:
                pass
            await asyncio.sleep(0.02)


async def asked(http: httpx.AsyncClient, model: str) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO})


async def test_the_answer_that_lost_a_hedge_is_priced_as_its_own_provider_is(
    http: httpx.AsyncClient, ctx: Context, providers: Meeting, upstream: Upstream
) -> None:
    """The winner has no price here and stays without; the loser has used as much, and what it used is known."""
    await publish(ctx, PublishRoute(text=HEDGED))
    providers.await_(2)

    won, lost = await spans_of(ctx, await asked(http, "route:hedged"), 2)

    assert len(upstream.received) == 2
    assert (won.provider, won.status, won.cost, won.unpriced) == ("plain", "ok", None, "unknown_model")
    assert won.usage is not None
    assert (won.output != "", lost.output) == (True, "")
    assert (lost.provider, lost.model, lost.status) == ("openai", "gpt-4o-mini", "cancelled")
    assert (lost.name, lost.attributes) == ("chat named/gpt-4o-mini", {"gimbal.attempt": "hedge"})
    assert (lost.cost, lost.unpriced, lost.usage) == (PRICE, "", won.usage)
    assert lost.price_book
    assert won.start_us <= lost.start_us <= lost.end_us <= won.end_us
    outcomes = {row["kind"]: row["outcome"] for row in won.attributes["gimbal.attempts"]}
    assert outcomes == {"first": "ok", "hedge": "wasted"}
    summary = (await ctx.get(Traces).get(ctx, won.trace_id)).summary
    assert summary.cost == PRICE, "the trace costs what both have"


async def test_a_filtered_answer_that_another_replaced_is_billed_beside_it(
    http: httpx.AsyncClient, ctx: Context, providers: Meeting, monkeypatch: pytest.MonkeyPatch, upstream: Upstream
) -> None:
    """And its span says that a filter stopped it, not that it was slow."""
    await publish(ctx, PublishRoute(text=FILTERED))
    monkeypatch.setattr(upstream, "_openai_body", _filtered_first(upstream))

    whole, filtered = sorted(
        await spans_of(ctx, await asked(http, "route:filtered"), 2), key=lambda one: not one.output
    )

    assert (whole.provider, filtered.provider, filtered.cost) == ("plain", "openai", PRICE)
    assert filtered.status_message == "A content filter stopped the answer."


async def test_a_filtered_answer_that_the_caller_gets_is_billed_once(
    http: httpx.AsyncClient, ctx: Context, providers: Meeting, monkeypatch: pytest.MonkeyPatch, upstream: Upstream
) -> None:
    """Where no other target has answered it is the answer, and no waste besides."""
    await publish(ctx, PublishRoute(text=FILTERED))
    monkeypatch.setattr(upstream, "_openai_body", _filtered_first(upstream, then=500))

    (span,) = await spans_of(ctx, await asked(http, "route:filtered"), 1)

    assert "".join(WORDS) in span.output
    assert (span.provider, span.cost, span.finish) == ("openai", PRICE, "content_filter")


def _filtered_first(upstream: Upstream, then: int | None = None) -> Any:
    usual = upstream._openai_body

    def body(request: dict[str, Any], fault: str | None) -> dict[str, Any]:
        made = usual(request, fault)
        if len(upstream.received) == 1:
            made["choices"][0]["finish_reason"] = "content_filter"
            upstream.faults = [then] if then else []
        return made

    return body
