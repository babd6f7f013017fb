"""The official `openai` client against the gateway: whole and streamed, by three providers, errors included."""

from decimal import Decimal

import openai
import pytest
from tests.upstreams import WORDS

from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context

SAID = "".join(WORDS)
HELLO = [{"role": "user", "content": "What does Gimbal do?"}]


@pytest.fixture
async def client(base_url):
    async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


async def span_of(ctx: Context, trace_id: str):
    trace = await ctx.get(Traces).get(ctx, trace_id)
    (span,) = trace.spans
    return span


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_a_whole_answer_and_its_record(client, ctx, upstream, model):
    raw = await client.chat.completions.with_raw_response.create(
        model=model,
        messages=HELLO,
        user="ada",
        extra_headers={"x-gimbal-feature": "help", "x-gimbal-session": "s1"},
    )
    answer = raw.parse()

    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 21
    assert answer.usage.completion_tokens == 5
    assert answer.usage.prompt_tokens_details.cached_tokens == 8
    span = await span_of(ctx, raw.headers["x-gimbal-trace-id"])
    assert (span.kind, span.status, span.feature, span.user_id, span.session_id) == ("llm", "ok", "help", "ada", "s1")
    assert (span.usage.input_tokens, span.usage.output_tokens, span.usage.cache_read_tokens) == (21, 5, 8)
    assert span.usage.cache_write_tokens == (3 if model.startswith("claude") else 0)
    assert not span.estimated
    assert span.cost is None
    assert span.unpriced == "unknown_model"
    assert span.first_token_us is not None
    assert SAID in span.output
    assert "What does Gimbal do?" in span.input
    assert upstream.received[0]["model"] == "tiny"
    key = "x-api-key" if model.startswith("claude") else "authorization"
    assert upstream.headers[0][key].endswith("sk-upstream")


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
@pytest.mark.parametrize("asked", [True, False])
async def test_a_streamed_answer_keeps_the_promise_about_usage(client, ctx, upstream, model, asked):
    options = {"stream_options": {"include_usage": True}} if asked else {}
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True, **options)
    trace_id = stream.response.headers["x-gimbal-trace-id"]
    chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == SAID
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert len({c.id for c in chunks}) == 1
    if asked:
        assert chunks[-1].choices == []
        assert chunks[-1].usage.total_tokens == 26
        assert all(c.usage is None and "usage" in c.model_fields_set for c in chunks[:-1])
    else:
        assert all(c.choices for c in chunks)
        assert all("usage" not in c.model_fields_set for c in chunks)
    if model == "up/tiny":
        assert upstream.received[0]["stream_options"] == {"include_usage": True}
    span = await span_of(ctx, trace_id)
    assert (span.usage.input_tokens, span.usage.output_tokens, span.estimated) == (21, 5, False)
    assert 0 <= span.first_token_us <= span.duration_us


async def test_a_known_price_is_charged_with_cached_tokens_counted_once(client, ctx):
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)

    span = await span_of(ctx, raw.headers["x-gimbal-trace-id"])
    assert span.cost is not None
    assert span.cost > 0
    assert Decimal(raw.headers["x-gimbal-cost-usd"]) == span.cost
    assert span.price_book


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_come_through(client, ctx, upstream, model, stream):
    upstream.tools = True
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    request = {"model": model, "messages": HELLO, "tools": [tool], "tool_choice": "required"}
    if stream:
        events = [event async for event in await client.chat.completions.create(stream=True, **request)]
        deltas = [d for e in events for c in e.choices for d in c.delta.tool_calls or ()]
        name = "".join(d.function.name or "" for d in deltas)
        arguments = "".join(d.function.arguments or "" for d in deltas)
        finish = [c.finish_reason for e in events for c in e.choices][-1]
        assert {d.index for d in deltas} == {0}
    else:
        choice = (await client.chat.completions.create(**request)).choices[0]
        (call,) = choice.message.tool_calls
        name, arguments, finish = call.function.name, call.function.arguments, choice.finish_reason

    assert (name, arguments.replace(" ", ""), finish) == ("look", '{"at":"sky"}', "tool_calls")
    if model == "claude/tiny":
        assert upstream.received[0]["tools"][0]["name"] == "look"
        assert upstream.received[0]["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize("stream", [True, False])
async def test_the_local_answerer_answers_from_the_context(client, ctx, stream):
    content = (
        "[1] docs/a.md — Ports\nThe server listens on port 8765.\n\n[2] docs/b.md\nTea is hot.\n\nQuestion: Which port?"
    )
    request = {"model": "local/extractive", "messages": [{"role": "user", "content": content}]}
    if stream:
        made = await client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **request)
        chunks = [chunk async for chunk in made]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        usage, fingerprint, trace_id = (
            chunks[-1].usage,
            chunks[0].system_fingerprint,
            made.response.headers["x-gimbal-trace-id"],
        )
        assert len(chunks) > 5
    else:
        raw = await client.chat.completions.with_raw_response.create(**request)
        whole = raw.parse()
        text, usage, fingerprint = whole.choices[0].message.content, whole.usage, whole.system_fingerprint
        trace_id = raw.headers["x-gimbal-trace-id"]

    assert text == "The server listens on port 8765. [1]"
    assert fingerprint == "gimbal-extractive-1/gimbal-pieces-1"
    span = await span_of(ctx, trace_id)
    assert span.cost == 0
    assert (span.usage.input_tokens, span.usage.output_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    assert span.attributes["gimbal.tokenizer"] == "gimbal-pieces-1"


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (429, openai.RateLimitError, "Rate limit"),
        (500, openai.InternalServerError, "had an error"),
        (400, openai.BadRequestError, "max_tokens"),
        (401, openai.InternalServerError, "key of the provider"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_upstream_error_is_the_clients_own_error_with_the_providers_words(
    client, ctx, upstream, status, kind, says, stream
):
    upstream.faults = [status, status]  # a retry meets the same
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model="up/tiny", messages=HELLO, stream=stream)

    assert says in str(caught.value)
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    span = await span_of(ctx, caught.value.response.headers["x-gimbal-trace-id"])
    assert span.status == "error"
    assert span.usage is None
    assert span.cost is None


async def test_models_are_listed_and_shown(client):
    names = [model.id async for model in client.models.list()]

    assert "local/extractive" in names
    assert "up/tiny" in names
    assert (await client.models.retrieve("local/extractive")).owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("local/oracle")


@pytest.mark.parametrize(
    ("request_", "kind", "param"),
    [
        ({"model": "nobody/tiny"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, openai.BadRequestError, "messages[0].role"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"extra_headers": {"x-gimbal-prompt": "prompt:not/there"}}, openai.BadRequestError, "x-gimbal-prompt"),
        (
            {"response_format": {"type": "json_object"}, "model": "claude/tiny"},
            openai.BadRequestError,
            "response_format",
        ),
    ],
)
async def test_a_bad_request_names_the_field(client, request_, kind, param):
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(**({"model": "local/extractive", "messages": HELLO} | request_))

    assert caught.value.param == param


async def test_the_callers_trace_is_continued(client, ctx):
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    headers = {"traceparent": f"00-{trace_id}-{parent}-01"}
    raw = await client.chat.completions.with_raw_response.create(
        model="up/tiny", messages=HELLO, metadata={"feature": "from-body"}, extra_headers=headers
    )

    assert raw.headers["x-gimbal-trace-id"] == trace_id
    span = await span_of(ctx, trace_id)
    assert (span.parent_id, span.feature) == (parent, "from-body")
