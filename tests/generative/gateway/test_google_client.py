"""The official `google-genai` client against the gateway: whole and streamed, by providers of other wires, errors included."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from tests.generative.gateway.test_faults import span_of
from tests.upstreams import WORDS

from gimbal.kernel.context import Context

SAID = "".join(WORDS)
HELLO = "What does Gimbal do?"
MODELS = ("claude/tiny", "up/tiny")
LOOK = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="look",
            description="Look somewhere.",
            parameters=types.Schema(type=types.Type.OBJECT, properties={"at": types.Schema(type=types.Type.STRING)}),
        )
    ]
)


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[Any]:
    """Give the client as anybody makes it, with another address."""
    options = types.HttpOptions(base_url=base_url, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1))
    made = genai.Client(api_key="none", http_options=options)
    yield made.aio
    await made.aio.aclose()
    made.close()


@pytest.mark.parametrize("model", MODELS)
async def test_a_whole_answer_and_its_record(client: Any, ctx: Context, model: str) -> None:
    """Usage comes in Gemini's own way of counting, whoever answers."""
    answer = await client.models.generate_content(model=model, contents=HELLO)
    assert answer.text == SAID
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage.prompt_token_count == 21
    assert usage.candidates_token_count + (usage.thoughts_token_count or 0) == 5
    headers = answer.sdk_http_response.headers
    span = await span_of(ctx, headers["x-gimbal-trace-id"])
    assert (span.status, span.model) == ("ok", "tiny")


@pytest.mark.parametrize("model", MODELS)
async def test_a_streamed_answer(client: Any, model: str) -> None:
    """Piece by piece."""
    texts = [piece.text async for piece in await client.models.generate_content_stream(model=model, contents=HELLO)]
    assert "".join(text or "" for text in texts) == SAID
    assert sum(bool(text) for text in texts) == len(WORDS)


@pytest.mark.parametrize("model", MODELS)
async def test_a_tool_is_called(client: Any, upstream: Any, model: str) -> None:
    """By the name and with the arguments that the model gave."""
    upstream.tools = True
    config = types.GenerateContentConfig(
        tools=[LOOK], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    answer = await client.models.generate_content(model=model, contents=HELLO, config=config)
    (call,) = answer.function_calls
    assert (call.name, call.args) == ("look", {"at": "sky"})
    assert [t["function"]["name"] if "function" in t else t["name"] for t in upstream.received[-1]["tools"]] == ["look"]


@pytest.mark.parametrize(
    ("status", "kind"), [(429, errors.ClientError), (400, errors.ClientError), (500, errors.ServerError)]
)
async def test_an_error_is_the_clients_own(
    client: Any, upstream: Any, status: int, kind: type[errors.APIError]
) -> None:
    """With a code that its users branch on."""
    upstream.faults = [status, status]
    with pytest.raises(kind) as caught:
        await client.models.generate_content(model="up/tiny", contents=HELLO)
    assert caught.value.code == (status if status < 500 else 502)


async def test_what_is_wrong_is_named(client: Any) -> None:
    """A model that nobody serves."""
    with pytest.raises(errors.ClientError) as caught:
        await client.models.generate_content(model="nobody/none", contents=HELLO)
    assert caught.value.code == 404


async def test_tokens_are_counted(client: Any) -> None:
    """About, where the provider does not count by this wire."""
    assert (await client.models.count_tokens(model="up/tiny", contents=HELLO)).total_tokens > 0
