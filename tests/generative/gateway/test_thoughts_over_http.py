"""Several signed thoughts through the whole gateway: what a caller hands back passes the provider's check, byte for byte."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from google import genai
from google.genai import types
from tests.generative.gateway.upstreams.loopback import Loopback, Reply, loopback
from tests.generative.gateway.wire.interleaving_given import BLOCKS
from tests.generative.gateway.wire.interleaving_given import stream as interleaved_stream
from tests.generative.gateway.wire.interleaving_given import whole as interleaved_whole
from tests.generative.gateway.wire.test_thoughts import SEVERAL, events, stream, thoughts_sent, whole

from gimbal.engines.http.choose import ChoosingClient
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

MODEL = "claude/claude-x"
HI = {"role": "user", "content": "Hi"}
THOUGHTS = SEVERAL["hidden between"]


@pytest.fixture
async def up() -> AsyncIterator[Loopback]:
    async with loopback() as app:
        yield app


@pytest.fixture
async def providers(up: Loopback) -> AsyncIterator[Providers]:
    """Give `claude`, which thinks several times."""
    settings = GatewaySettings(providers=(ProviderSettings(name="claude", kind="anthropic", base_url=up.url),))
    found = Providers(settings, ChoosingClient(), environ={})
    yield found
    await found.aclose()


def answer(streamed: bool) -> Reply:
    if not streamed:
        return Reply(body=whole("anthropic", THOUGHTS))
    return Reply(body=stream("anthropic", THOUGHTS), headers=((b"content-type", b"text/event-stream"),))


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_of_chat_completions_hands_every_thought_back(
    http: httpx.AsyncClient, up: Loopback, streamed: bool
) -> None:
    up.replies = [answer(streamed)]
    body = {"model": MODEL, "stream": streamed, "max_tokens": 64, "messages": [HI]}
    reply = await http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    if streamed:
        deltas = [row["choices"][0]["delta"] for row in events(reply.content) if row.get("choices")]
        details = [row for delta in deltas for row in delta.get("reasoning_details", ())]
    else:
        details = json.loads(reply.content)["choices"][0]["message"]["reasoning_details"]
    message = {"role": "assistant", "content": "I look.", "reasoning_details": details}
    await http.post("/v1/chat/completions", json=body | {"messages": [HI, message, HI]})

    assert thoughts_sent("anthropic", up.last.json) == THOUGHTS


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_of_responses_hands_every_thought_back(
    http: httpx.AsyncClient, up: Loopback, streamed: bool
) -> None:
    up.replies = [answer(streamed)]
    body = {"model": MODEL, "stream": streamed, "max_output_tokens": 64, "input": [HI]}
    reply = await http.post("/v1/responses", json=body)
    assert reply.status_code == 200, reply.text
    told = events(reply.content)[-1]["response"] if streamed else json.loads(reply.content)
    items = [item for item in told["output"] if item["type"] != "function_call"]
    await http.post("/v1/responses", json=body | {"input": [HI, *items, HI]})

    assert thoughts_sent("anthropic", up.last.json) == THOUGHTS


BETWEEN = BLOCKS["hidden between"]


def interleaved(streamed: bool) -> Reply:
    if not streamed:
        return Reply(body=interleaved_whole("anthropic", BETWEEN))
    headers = ((b"content-type", b"text/event-stream"),)
    return Reply(body=interleaved_stream("anthropic", BETWEEN), headers=headers)


async def test_a_caller_of_chat_completions_hands_back_a_whole_answer_in_its_order(
    http: httpx.AsyncClient, up: Loopback
) -> None:
    up.replies = [interleaved(streamed=False)]
    body = {"model": MODEL, "max_tokens": 64, "messages": [HI]}
    message = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "3"} for call in message["tool_calls"]]
    reply = await http.post("/v1/chat/completions", json=body | {"messages": [HI, message, *results]})

    assert reply.status_code == 200, reply.text
    assert up.last.json["messages"][1] == {"role": "assistant", "content": BETWEEN}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_chat_of_googles_own_client_hands_hidden_thoughts_back(
    base_url: str, up: Loopback, streamed: bool
) -> None:
    """It takes no signature that is not base64, sends them in the other alphabet, and keeps each event as a content."""
    up.replies = [interleaved(streamed)]
    options = types.HttpOptions(base_url=base_url, timeout=20_000)
    client = genai.Client(api_key="none", http_options=options)
    declared = [types.FunctionDeclaration(name="weather", parameters_json_schema={"type": "object"})]
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=declared)],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    chat = client.aio.chats.create(model=MODEL, config=config)
    if streamed:
        answers = [part async for part in await chat.send_message_stream("Hi")]
        calls = [call for answer in answers for call in answer.function_calls or ()]
    else:
        calls = (await chat.send_message("Hi")).function_calls or []
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "3"}))
        for call in calls
    ]
    up.replies = [interleaved(streamed=False)]
    await chat.send_message(results)
    await client.aio.aclose()
    client.close()

    sent = up.last.json["messages"][1]["content"]
    texts = [block for block in sent if block["type"] == "text"]
    assert [block for block in sent if block["type"] != "text"] == [b for b in BETWEEN if b["type"] != "text"]
    assert "".join(block["text"] for block in texts) == "".join(block.get("text", "") for block in BETWEEN)
    if not streamed:
        assert sent == BETWEEN
