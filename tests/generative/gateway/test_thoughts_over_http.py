"""Several signed thoughts through the whole gateway: what a caller hands back passes the provider's check, byte for byte."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.generative.gateway.upstreams.loopback import Loopback, Reply, loopback
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
