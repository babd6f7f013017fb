"""What goes wrong on the way is told to the caller in its own form, and recorded with what was used."""

import asyncio
import json

import httpx
import pytest
from tests.upstreams import WORDS

from gimbal.axis.traces.service import Traces
from gimbal.generative.knowledge.analysis import count_tokens
from gimbal.kernel.errors import NotFound

HELLO = [{"role": "user", "content": "What does Gimbal do?"}]


async def span_of(ctx, trace_id):
    """Return the only span of a trace, waiting for it where nobody can be told that it is there."""
    async with asyncio.timeout(10):
        while True:
            try:
                (span,) = (await ctx.get(Traces).get(ctx, trace_id)).spans
            except NotFound:
                await asyncio.sleep(0.02)
            else:
                return span


async def stream(http, model, **more):
    """Return (trace id, data of every event) of a streamed call."""
    body = {"model": model, "messages": HELLO, "stream": True, **more}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200, await response.aread()
        lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    return response.headers["x-gimbal-trace-id"], lines


def text_of(lines):
    rows = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(c["delta"].get("content") or "" for row in rows for c in row.get("choices") or ())


@pytest.mark.parametrize("fault", ["cut", "reset", "half_event", "error_event"])
@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_a_stream_that_breaks_says_so_and_is_settled_with_an_estimate(http, ctx, upstream, model, fault):
    upstream.faults = [fault]
    trace_id, lines = await stream(http, model, stream_options={"include_usage": True})

    error = json.loads(lines[-1])["error"]
    assert "[DONE]" not in lines
    assert error["type"] == "api_error"
    assert ("overloaded" in error["message"]) == (fault == "error_event")
    span = await span_of(ctx, trace_id)
    seen = text_of(lines[:-1])
    assert seen
    assert "".join(WORDS).startswith(seen)
    assert span.status == "error"
    assert span.estimated
    assert span.usage.output_tokens >= count_tokens(seen)
    # Anthropic tells the input at the start; OpenAI at the end, which never came.
    assert span.usage.input_tokens == (21 if model == "claude/tiny" else count_tokens(HELLO[0]["content"]))
    assert json.loads(span.output)["content"] == seen


@pytest.mark.parametrize("asked", [True, False])
async def test_a_server_that_never_counts_is_estimated_and_marked(http, ctx, upstream, asked):
    upstream.faults = ["no_usage"]
    trace_id, lines = await stream(http, "up/tiny", **({"stream_options": {"include_usage": True}} if asked else {}))

    assert lines[-1] == "[DONE]"
    last = json.loads(lines[-2])
    assert ("usage_estimated" in last) == asked
    span = await span_of(ctx, trace_id)
    assert (span.status, span.estimated) == ("ok", True)
    assert span.usage.output_tokens == count_tokens("".join(WORDS))
    if asked:
        assert last["usage"]["completion_tokens"] == span.usage.output_tokens


async def test_null_choices_are_no_choices(http, ctx, upstream):
    upstream.faults = ["null_choices", "null_choices"]
    trace_id, lines = await stream(http, "up/tiny")
    whole = await http.post("/v1/chat/completions", json={"model": "up/tiny", "messages": HELLO})

    assert text_of(lines) == "".join(WORDS)
    assert (await span_of(ctx, trace_id)).status == "ok"
    assert whole.status_code == 502
    assert "without a choice" in whole.json()["error"]["message"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_garbage_is_a_bad_gateway(http, ctx, upstream, streamed):
    upstream.faults = ["garbage"]
    reply = await http.post("/v1/chat/completions", json={"model": "up/tiny", "messages": HELLO, "stream": streamed})

    if streamed:  # the answer had begun: it ended without a single event
        assert "in the middle" in reply.text
    else:
        assert reply.status_code == 502
        assert "not an answer" in reply.json()["error"]["message"]
    assert (await span_of(ctx, reply.headers["x-gimbal-trace-id"])).status == "error"


@pytest.mark.parametrize("streamed", [True, False])
async def test_silence_is_a_deadline_not_a_hang(http, ctx, upstream, streamed):
    upstream.faults = ["hang"]
    reply = await http.post("/v1/chat/completions", json={"model": "slow/tiny", "messages": HELLO, "stream": streamed})

    assert reply.status_code == 504
    assert "0.2 s" in reply.json()["error"]["message"]
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
    assert (span.status, span.usage, span.attributes["error.type"]) == ("error", None, "too_slow")


async def test_silence_in_the_middle_ends_the_stream_with_an_error(http, ctx, upstream):
    upstream.faults = ["stall"]
    trace_id, lines = await stream(http, "slow/tiny")

    assert json.loads(lines[-1])["error"]["code"] == "too_slow"
    assert (await span_of(ctx, trace_id)).estimated


async def test_a_provider_that_is_not_there_is_unavailable(http, ctx):
    reply = await http.post("/v1/chat/completions", json={"model": "gone/tiny", "messages": HELLO})

    assert reply.status_code == 503
    assert "cannot be reached" in reply.json()["error"]["message"]
    assert (await span_of(ctx, reply.headers["x-gimbal-trace-id"])).status == "error"


async def test_a_caller_who_leaves_in_mid_stream_is_recorded_and_the_provider_stopped(base_url, ctx, upstream):
    upstream.faults = ["stall"]
    body = {"model": "up/tiny", "messages": HELLO, "stream": True}
    async with (
        httpx.AsyncClient(base_url=base_url) as leaving,
        leaving.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        trace_id = response.headers["x-gimbal-trace-id"]
        async for line in response.aiter_lines():
            if WORDS[3].strip() in line:
                break

    async with asyncio.timeout(5):
        await upstream.closed.wait()
    span = await span_of(ctx, trace_id)
    assert span.status == "cancelled"
    assert span.estimated
    assert span.usage.output_tokens >= count_tokens("".join(WORDS[:4]))


async def test_a_caller_who_leaves_before_the_answer_is_recorded_and_the_provider_stopped(base_url, ctx, upstream):
    upstream.faults = ["hang"]
    trace_id = "5bf92f3577b34da6a3ce929d0e0e4737"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    async with httpx.AsyncClient(base_url=base_url) as leaving:
        call = asyncio.ensure_future(
            leaving.post("/v1/chat/completions", json={"model": "up/tiny", "messages": HELLO}, headers=headers)
        )
        async with asyncio.timeout(5):
            await upstream.arrived.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    async with asyncio.timeout(5):
        await upstream.closed.wait()
    span = await span_of(ctx, trace_id)
    assert (span.status, span.usage) == ("cancelled", None)


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"[]", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b'{"model": 3, "messages": []}', 400, "model"),
        (b'{"model": "m", "messages": [{"role": "user"}]}', 400, "messages[0].content"),
        (
            b'{"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}',
            400,
            "messages[0].content[0].type",
        ),
        (b"[" * 100_000, 400, "body"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_in_the_callers_form(http, body, status, where):
    reply = await http.post("/v1/chat/completions", content=body)

    assert reply.status_code == status
    assert reply.json()["error"]["param"] == where
    assert reply.json()["error"]["type"] == "invalid_request_error"
