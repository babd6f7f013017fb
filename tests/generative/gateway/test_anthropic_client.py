"""The official `anthropic` client against the gateway: whole and streamed, by providers of three wires, errors included."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import anthropic
import pytest
from tests.generative.gateway.test_faults import span_of
from tests.upstreams import WORDS

from gimbal.kernel.context import Context

SAID = "".join(WORDS)
HELLO: Any = [{"role": "user", "content": "What does Gimbal do?"}]
TOOLS: Any = [
    {
        "name": "look",
        "description": "Look somewhere.",
        "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
    }
]
MODELS = ("claude/tiny", "up/tiny")


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Give the client as anybody makes it, with another address."""
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key="none", max_retries=0, timeout=20) as made:
        yield made


@pytest.mark.parametrize("model", MODELS)
async def test_a_whole_answer_and_its_record(client: anthropic.AsyncAnthropic, ctx: Context, model: str) -> None:
    """Usage comes in Anthropic's own way of counting, whoever answers."""
    raw = await client.messages.with_raw_response.create(
        model=model,
        max_tokens=100,
        messages=HELLO,
        metadata={"user_id": "ada"},
        extra_headers={"x-gimbal-feature": "help"},
    )
    answer = await raw.parse()
    assert [block.text for block in answer.content if block.type == "text"] == [SAID]
    assert answer.stop_reason == "end_turn"
    span = await span_of(ctx, raw.headers["x-gimbal-trace-id"])
    assert span.usage is not None
    told = (
        answer.usage.input_tokens
        + (answer.usage.cache_read_input_tokens or 0)
        + (answer.usage.cache_creation_input_tokens or 0)
    )
    assert (told, answer.usage.output_tokens) == (span.usage.input_tokens, span.usage.output_tokens) == (21, 5)
    assert (span.status, span.feature, span.user_id, span.endpoint) == ("ok", "help", "ada", "/v1/messages")


@pytest.mark.parametrize("model", MODELS)
async def test_a_streamed_answer(client: anthropic.AsyncAnthropic, model: str) -> None:
    """The client's own helper puts the events together."""
    async with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        texts = [text async for text in stream.text_stream]
        whole = await stream.get_final_message()
    assert "".join(texts) == SAID
    assert len(texts) == len(WORDS)
    assert (whole.stop_reason, whole.usage.output_tokens) == ("end_turn", 5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_called(client: anthropic.AsyncAnthropic, upstream: Any, model: str, streamed: bool) -> None:
    """Its arguments are whole at the end."""
    upstream.tools = True
    if streamed:
        async with client.messages.stream(model=model, max_tokens=100, messages=HELLO, tools=TOOLS) as stream:
            answer: Any = await stream.get_final_message()
    else:
        answer = await client.messages.create(model=model, max_tokens=100, messages=HELLO, tools=TOOLS)
    (use,) = [block for block in answer.content if block.type == "tool_use"]
    assert (use.name, use.input, answer.stop_reason) == ("look", {"at": "sky"}, "tool_use")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, anthropic.RateLimitError), (400, anthropic.BadRequestError), (500, anthropic.InternalServerError)],
)
@pytest.mark.parametrize("model", MODELS)
async def test_an_error_is_the_clients_own(
    client: anthropic.AsyncAnthropic, upstream: Any, status: int, kind: type[anthropic.APIStatusError], model: str
) -> None:
    """With the provider's words, and when to come again."""
    upstream.faults = [status, status]
    with pytest.raises(kind) as caught:
        await client.messages.create(model=model, max_tokens=100, messages=HELLO)
    assert caught.value.response.headers["x-gimbal-trace-id"]
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


async def test_what_is_wrong_is_named(client: anthropic.AsyncAnthropic) -> None:
    """A model that nobody serves, and a body that is none."""
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="nobody/none", max_tokens=10, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        await client.messages.create(model="claude/tiny", max_tokens=10, messages=cast("Any", "nope"))


async def test_a_stream_that_breaks_is_an_error(client: anthropic.AsyncAnthropic, upstream: Any) -> None:
    """After what had come."""
    upstream.faults = ["error_event"]
    with pytest.raises(anthropic.APIError):
        async with client.messages.stream(model="claude/tiny", max_tokens=100, messages=HELLO) as stream:
            await stream.get_final_message()


async def test_the_client_without_asyncio(base_url: str) -> None:
    """As programs without an event loop call it."""

    def call() -> tuple[str, str]:
        with anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0, timeout=20) as client:
            whole = client.messages.create(model="claude/tiny", max_tokens=100, messages=HELLO)
            with client.messages.stream(model="up/tiny", max_tokens=100, messages=HELLO) as stream:
                return "".join(b.text for b in whole.content if b.type == "text"), "".join(stream.text_stream)

    assert await asyncio.to_thread(call) == (SAID, SAID)


@pytest.mark.parametrize("model", ["up/tiny"])
async def test_tokens_are_counted(client: anthropic.AsyncAnthropic, model: str) -> None:
    """About, where the provider does not count by this wire."""
    raw = await client.messages.with_raw_response.count_tokens(model=model, messages=HELLO)
    assert (await raw.parse()).input_tokens > 0
    assert raw.headers["x-gimbal-estimated"] == "true"
