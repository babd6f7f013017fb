"""What a call through the gateway costs: by every class that the provider tells, and unpriced where it contradicts itself."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from tests.generative.gateway.test_faults import HELLO, span_of, stream
from tests.upstreams import WORDS

from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.generative.gateway.call import new_trace
from gimbal.generative.gateway.complete import complete
from gimbal.kernel.errors import NotFound


async def answered(http, model, *, streamed):
    """Return the trace id of a call that is answered, whole or streamed."""
    if streamed:
        trace_id, lines = await stream(http, model)
        assert lines[-1] == "[DONE]"
        return trace_id
    response = await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO})
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "".join(WORDS)
    return response.headers["x-gimbal-trace-id"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "usage", "millionths"),
    [
        # gpt-4o-mini at 0.15, 0.075 cached, 0.60: 13·0.15 + 8·0.075 + 5·0.6
        ("openai/gpt-4o-mini", {}, "5.55"),
        # claude-sonnet-4 at 3, 0.30 read, 3.75 written, 15: 10·3 + 8·0.3 + 3·3.75 + 5·15
        ("anthropic/claude-sonnet-4", {}, "118.65"),
        # Two of the three written tokens are kept for an hour, at 6: 10·3 + 8·0.3 + 1·3.75 + 2·6 + 5·15
        (
            "anthropic/claude-sonnet-4",
            {"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}},
            "123.15",
        ),
        # A search is a cent
        ("anthropic/claude-sonnet-4", {"server_tool_use": {"web_search_requests": 1}}, "10118.65"),
        # In a batch all of it is half
        ("anthropic/claude-sonnet-4", {"service_tier": "batch"}, "59.325"),
    ],
    ids=["openai", "anthropic", "an hour", "a search", "batch"],
)
async def test_a_call_costs_what_the_provider_bills(http, ctx, upstream, model, usage, millionths, streamed):
    upstream.usage = usage
    span = await span_of(ctx, await answered(http, model, streamed=streamed))
    assert span.cost == Decimal(millionths) / 1_000_000
    assert (span.unpriced, span.estimated) == ("", False)
    assert (span.usage.input_tokens, span.usage.output_tokens) == (21, 5)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "usage", "reason"),
    [
        ("openai/gpt-4o-mini", {"total_tokens": 27}, "implausible_usage"),
        ("openai/gpt-4o-mini", {"prompt_tokens_details": {"cached_tokens": 22}}, "implausible_usage"),
        ("openai/gpt-4o-mini", {"prompt_tokens_details": {"audio_tokens": 3}}, "no_price:audio_input"),
        ("anthropic/claude-sonnet-4", {"cache_read_input_tokens": -8}, "implausible_usage"),
        ("anthropic/claude-sonnet-4", {"service_tier": "priority"}, "no_price:priority"),
    ],
)
async def test_a_call_that_cannot_be_priced_is_answered_all_the_same(
    http, ctx, upstream, model, usage, reason, streamed
):
    upstream.usage = usage
    span = await span_of(ctx, await answered(http, model, streamed=streamed))
    assert (span.status, span.cost, span.unpriced) == ("ok", None, reason)


async def test_a_caller_who_leaves_while_the_call_is_settled_is_billed_all_the_same(ctx, upstream):
    entered, go, book = asyncio.Event(), asyncio.Event(), PriceBook.read()

    class Slow:
        async def of(self, project):
            entered.set()
            await go.wait()
            return book

    ctx.services.register(PriceSource, Slow())
    trace = new_trace()
    calling = asyncio.create_task(complete(ctx, model="openai/gpt-4o-mini", messages=HELLO, trace=trace))
    async with asyncio.timeout(20):
        await entered.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        go.set()
        while True:
            with contextlib.suppress(NotFound):
                span = await span_of(ctx, trace.trace_id)
                break
            await asyncio.sleep(0.01)
    assert span.usage.input_tokens == 21
    assert span.cost is not None or span.unpriced
