"""The stored ledger of calls through the gateway: for each wire and mode the cost by hand, to the last decimal."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.generative.gateway.test_faults import HELLO, span_of, stream

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.charging import charged, uncharged
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.knowledge.analysis import count_tokens
from gimbal.kernel.clock import Clock

GPT, CLAUDE = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4"
BOOK = PriceBook.read()
AT = datetime(2026, 1, 1, tzinfo=UTC)
OPENAI_COSTS = {"input": "1.95", "cache_read": "0.6", "output": "1.8", "reasoning": "1.2"}
CLAUDE_COSTS = {"input": "30", "cache_read": "2.4", "cache_write": "11.25", "output": "75"}
TTL = {"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}}
# model, what answers say of their usage, Usage, the cost by class in millionths of a dollar
MODES: list[tuple[str, str, dict[str, Any], Usage, dict[str, str]]] = [
    # gpt-4o-mini: 0.15, 0.075 cached, 0.60; 13 + 8 in, 3 + 2 out
    ("cached and reasoned", GPT, {}, Usage(input=13, cache_read=8, output=3, reasoning=2), OPENAI_COSTS),
    (
        "plain",
        GPT,
        {"prompt_tokens_details": None, "completion_tokens_details": None},
        Usage(input=21, output=5),
        {"input": "3.15", "output": "3"},
    ),
    # claude-sonnet-4: 3, 0.30 read, 3.75 and 6 written, 15
    ("cached", CLAUDE, {}, Usage(input=10, cache_read=8, cache_write=3, output=5), CLAUDE_COSTS),
    (
        "cached for an hour",
        CLAUDE,
        TTL,
        Usage(input=10, cache_read=8, cache_write_5m=1, cache_write_1h=2, output=5),
        {"input": "30", "cache_read": "2.4", "cache_write_5m": "3.75", "cache_write_1h": "12", "output": "75"},
    ),
    (
        "a search",
        CLAUDE,
        {"server_tool_use": {"web_search_requests": 2}},
        Usage(input=10, cache_read=8, cache_write=3, output=5, requests={"web_search": 2}),
        CLAUDE_COSTS | {"web_search": "20000"},
    ),
    (
        "reasoned",
        CLAUDE,
        {"output_tokens_details": {"thinking_tokens": 4}},
        Usage(input=10, cache_read=8, cache_write=3, output=1, reasoning=4),
        CLAUDE_COSTS | {"output": "15", "reasoning": "60"},
    ),
    (
        "a batch",
        CLAUDE,
        {"service_tier": "batch"},
        Usage(input=10, cache_read=8, cache_write=3, output=5, tier="batch"),
        {"input": "15", "cache_read": "1.2", "cache_write": "5.625", "output": "37.5"},
    ),
]


def dollars(millionths: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(amount) / 1_000_000 for name, amount in millionths.items()}


async def asked(http: Any, model: str, *, streamed: bool, **more: Any) -> str:
    """Return the trace id of a call that is answered."""
    if streamed:
        trace_id, lines = await stream(http, model, **more)
        assert lines[-1] == "[DONE]"
        return trace_id
    response = await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})
    assert response.status_code == 200, response.text
    return response.headers["x-gimbal-trace-id"]


@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "model", "said", "usage", "parts"), MODES, ids=[f"{m[1]} {m[0]}" for m in MODES])
async def test_each_class_of_a_call_is_stored_with_what_it_costs(
    http: Any, ctx: Any, upstream: Any, name: str, model: str, said: dict[str, Any], usage: Usage,
    parts: dict[str, str], streamed: bool, tools: bool,
) -> None:  # fmt: skip
    """And priced again from what is stored, it comes to the same."""
    upstream.usage, upstream.tools = said, tools
    span = await span_of(ctx, await asked(http, model, streamed=streamed))
    assert span.usage == usage
    assert span.parts == dollars(parts)
    assert (span.cost, span.unpriced, span.estimated) == (sum(dollars(parts).values()), "", False)
    again = charged(uncharged(span), BOOK)
    assert (again.cost, again.parts, again.price_book) == (span.cost, span.parts, span.price_book)
    assert span.wasted is None


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_call_costs_what_its_project_pays_and_others_what_the_book_says(
    http: Any, ctx: Any, streamed: bool
) -> None:
    """By hand: 13 at 1 dollar per million, 8 cached at 0.10, 3 and 2 of reasoning at 2 come to 23.8 millionths."""
    prices = Prices(ctx.get(Catalog), ctx.get(Clock))
    ctx.services.register(PriceSource, prices)
    ctx.services.register(Traces, Traces(ctx.get(Columns), ctx.get(Writer), prices))
    await ctx.get(Projects).create(ctx.within(None), CreateProject(slug="others"))
    own = SetPrice(
        provider="openai", model="gpt-4o-mini*", input=Decimal(1), cache_read=Decimal("0.10"), output=Decimal(2),
        unusual=True,
    )  # fmt: skip
    await prices.set(ctx, own)
    span = await span_of(ctx, await asked(http, GPT, streamed=streamed))
    assert span.parts == dollars({"input": "13", "cache_read": "0.8", "output": "6", "reasoning": "4"})
    assert (span.cost, span.unpriced) == (Decimal("0.0000238"), "")
    assert "p1" in span.price_book
    http.headers["x-gimbal-project"] = "others"
    there = await span_of(ctx.within("others"), await asked(http, GPT, streamed=streamed))
    assert there.parts == dollars(OPENAI_COSTS)
    assert "p1" not in there.price_book
    # A discount is of all that would be paid otherwise, from the next call on.
    await prices.set(ctx.within("others"), SetPrice(provider="openai", model="*", factor=Decimal("0.8")))
    less = await span_of(ctx.within("others"), await asked(http, GPT, streamed=streamed))
    assert less.cost == Decimal("0.00000444")
    assert less.parts == {name: amount * Decimal("0.8") for name, amount in dollars(OPENAI_COSTS).items()}


@pytest.mark.parametrize("model", [GPT, CLAUDE])
@pytest.mark.parametrize("fault", ["cut", "error_event", "half_event"])
async def test_an_aborted_stream_is_paid_for_as_far_as_it_came_and_wasted(
    http: Any, ctx: Any, upstream: Any, model: str, fault: str
) -> None:
    """What the provider had said of its input counts by class; the rest is an estimate, and marked."""
    upstream.faults = [fault]
    trace_id, _ = await stream(http, model)
    span = await span_of(ctx, trace_id)
    assert (span.status, span.estimated) == ("error", True)
    told = {"input": 10, "cache_read": 8, "cache_write": 3} if model == CLAUDE else {}
    said = {"input": count_tokens(HELLO[0]["content"])} | told
    assert {name: getattr(span.usage, name) for name in said} == said
    rates = {"input": 3, "cache_read": Decimal("0.3"), "cache_write": Decimal("3.75"), "output": 15}
    if model == GPT:
        rates = {"input": Decimal("0.15"), "output": Decimal("0.6")}
    by_hand = sum((rate * Decimal(getattr(span.usage, name)) for name, rate in rates.items()), Decimal(0))
    assert span.cost == by_hand / 1_000_000
    assert span.wasted == span.cost


@pytest.mark.parametrize("model", [GPT, CLAUDE])
@pytest.mark.parametrize("status", [400, 429, 500])
async def test_what_no_provider_accepted_costs_nothing_and_wastes_nothing(
    http: Any, ctx: Any, upstream: Any, model: str, status: int
) -> None:
    """Its cost is not known to be nothing either: it was not answered."""
    upstream.faults = [status, status]  # a retry meets the same
    response = await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO})
    assert response.status_code >= 400
    span = await span_of(ctx, response.headers["x-gimbal-trace-id"])
    assert (span.usage, span.cost, span.parts, span.wasted) == (None, None, {}, None)
    assert span.status == "error"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_contradiction_stays_one_however_often_it_is_priced(
    http: Any, ctx: Any, upstream: Any, streamed: bool
) -> None:
    """The stored usage says that it contradicts itself, though its classes would fit."""
    upstream.usage = {"total_tokens": 27}
    span = await span_of(ctx, await asked(http, GPT, streamed=streamed))
    assert span.usage is not None
    assert (span.usage.contradictory, span.usage.input_tokens, span.unpriced) == (True, 21, "implausible_usage")
    assert charged(uncharged(span), BOOK).unpriced == "implausible_usage"


async def test_a_call_is_attributed_to_its_endpoint_key_and_tags(http: Any, ctx: Any, upstream: Any) -> None:
    """By the path, the headers and the body."""
    plain = await span_of(ctx, await asked(http, GPT, streamed=False))
    assert (plain.endpoint, plain.key_id, plain.tags) == ("/v1/chat/completions", "", [])
    response = await http.post(
        "/v1/chat/completions",
        json={"model": GPT, "messages": HELLO},
        headers={"x-gimbal-tags": "team:search, beta,,beta", "x-gimbal-endpoint": "help"},
    )
    span = await span_of(ctx, response.headers["x-gimbal-trace-id"])
    assert (span.endpoint, span.tags) == ("help", ["team:search", "beta"])
    named = await span_of(ctx, await asked(http, GPT, streamed=True, metadata={"tags": "a,b"}))
    assert named.tags == ["a", "b"]


async def test_too_many_tags_are_refused(http: Any, upstream: Any) -> None:
    """Before anything is asked of a provider."""
    tags = ",".join(f"t{n}" for n in range(51))
    response = await http.post(
        "/v1/chat/completions", json={"model": GPT, "messages": HELLO}, headers={"x-gimbal-tags": tags}
    )
    assert response.status_code == 400
    assert "tags" in response.text
    assert upstream.received == []


GEMINI = {
    "promptTokenCount": 100, "cachedContentTokenCount": 30, "candidatesTokenCount": 40, "thoughtsTokenCount": 10,
    "totalTokenCount": 150, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}, {"modality": "TEXT", "tokenCount": 60}],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}, {"modality": "TEXT", "tokenCount": 20}],
}  # fmt: skip
READERS: list[tuple[str, Usage | None, str, str, str]] = [
    (
        "gemini", wires.gemini(GEMINI, searches=1), "gcp.gemini", "gemini-2.5-flash",
        # 40·0.3 + 20·0.03 + 30·1 + 10·0.1 + 50·2.5, and a search at 0.035
        "35168.6",
    ),
    (
        "bedrock",
        wires.bedrock({"inputTokens": 60, "outputTokens": 50, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 30,
                       "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}], "totalTokens": 150}),
        "anthropic", "claude-sonnet-4",
        # 60·3 + 10·0.3 + 10·3.75 + 20·6 + 50·15
        "1090.5",
    ),
    (
        "responses",
        wires.openai_responses(
            {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "input_tokens_details": {"cached_tokens": 40},
             "output_tokens_details": {"reasoning_tokens": 30}},
            tier="flex", output=[{"type": "web_search_call", "action": {"type": "search"}}],
        ),
        "openai", "gpt-5",
        # flex: 60·0.625 + 40·0.0625 + 50·5, and a search at a cent
        "10290",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "usage", "provider", "model", "millionths"), READERS, ids=[row[0] for row in READERS])
def test_the_readers_of_the_other_wires_come_to_the_cost_by_hand(
    name: str, usage: Usage | None, provider: str, model: str, millionths: str
) -> None:
    """Gemini, Bedrock and the responses of OpenAI, which the gateway does not call yet."""
    assert BOOK.price(provider, model, AT, usage).amount == Decimal(millionths) / 1_000_000
