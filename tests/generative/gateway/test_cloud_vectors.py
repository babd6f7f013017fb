"""Embeddings of a cloud through the whole gateway: the official client's form, usage as it was told, and what is refused."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError
from tests.generative.gateway.test_faults import span_of
from tests.generative.gateway.upstreams.loopback import Loopback, Reply, loopback

from gimbal.engines.http.choose import ChoosingClient
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.context import Context
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

TITAN = "aws/amazon.titan-embed-text-v2:0"


@pytest.fixture
async def up() -> AsyncIterator[Loopback]:
    async with loopback() as app:
        app.replies = [Reply(body=b'{"embedding":[0.5,-2.0],"inputTextTokenCount":3}')]
        yield app


@pytest.fixture
async def providers(up: Loopback) -> AsyncIterator[Providers]:
    """Give `aws`, which is Bedrock."""
    key = json.dumps({"access_key_id": "AKID", "secret_access_key": "secret-0123456789"})
    given = ProviderSettings(name="aws", kind="bedrock", base_url=up.url, region="eu-west-1", api_key_env="KEY")
    found = Providers(GatewaySettings(providers=(given,)), ChoosingClient(), environ={"KEY": key})
    yield found
    await found.aclose()


async def test_the_official_client_gets_its_vectors_and_the_usage(base_url: str, up: Loopback) -> None:
    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0) as client:
        # It asks for base64 by itself, and unpacks it.
        found = await client.embeddings.create(model=TITAN, input=["a", "b", "c"], dimensions=256)
        with pytest.raises(BadRequestError, match="Tokens"):
            await client.embeddings.create(model=TITAN, input=[[1, 2]])

    assert [row.embedding for row in found.data] == [[0.5, -2.0]] * 3
    assert [row.index for row in found.data] == [0, 1, 2]
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (9, 9)
    assert sorted(sent.json["inputText"] for sent in up.sent) == ["a", "b", "c"]
    assert {sent.json["dimensions"] for sent in up.sent} == {256}


async def test_what_a_model_cannot_is_refused_by_name(http: httpx.AsyncClient, up: Loopback) -> None:
    body = {"model": "aws/amazon.titan-embed-text-v1", "input": "a", "dimensions": 256}
    reply = await http.post("/v1/embeddings", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "dimensions")
    reply = await http.post(
        "/v1/chat/completions", json={"model": TITAN, "messages": [{"role": "user", "content": "a"}]}
    )
    assert reply.status_code == 400
    assert "no conversations" in reply.json()["error"]["message"]
    assert up.sent == []


async def test_the_trace_tells_what_was_used(http: httpx.AsyncClient, ctx: Context) -> None:
    reply = await http.post("/v1/embeddings", json={"model": TITAN, "input": "a"})
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])

    assert (span.status, span.provider, span.usage.input_tokens) == ("ok", "aws", 3)
