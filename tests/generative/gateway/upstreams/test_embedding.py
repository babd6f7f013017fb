"""Vectors: OpenAI's wire goes on as it came, Gemini's and Cohere's are asked by their own, others refuse."""

import json

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply, client, loopback

from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams import azure, bedrock, cohere, compatible, gemini, openai
from gimbal.generative.gateway.providers.upstreams.kinds import kind_of
from gimbal.generative.gateway.providers.upstreams.sending import Setup
from gimbal.generative.gateway.wire.openai_embeddings import WIRE
from gimbal.kernel.errors import BadInput
from gimbal.kernel.settings_gateway import ProviderSettings

OPENAI = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
    "model": "text-embedding-x",
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


def made(module, kind, http_client, url, **settings):
    found = ProviderSettings(name="up", kind=kind, base_url=url, **settings)
    return module.PROVIDER(Setup(kind=kind_of(kind), settings=found, key=Secret(KEY)), http_client)


def asked(**more):
    return WIRE.asked(json.dumps({"model": "x", "input": ["hello"], **more}).encode(), {})


async def test_openais_wire_goes_on_as_it_came(up, http_client):
    up.replies = [Reply(body=json.dumps(OPENAI).encode(), headers=((b"x-ratelimit-limit-tokens", b"9"),))]
    provider = made(openai, "openai", http_client, f"{up.url}/v1")

    found = await provider.embed(WIRE, asked(unknown=1, encoding_format="base64"), "text-embedding-x", DEADLINES)

    assert (found.same, json.loads(found.vectors.raw)) == (True, OPENAI)
    assert found.vectors.usage.input_tokens == 3
    assert dict(found.headers) == {b"x-ratelimit-limit-tokens": b"9"}
    assert up.last.target == "/v1/embeddings"
    assert {"model": "text-embedding-x", "unknown": 1, "input": ["hello"]}.items() <= up.last.json.items()
    assert up.last.header("authorization") == f"Bearer {KEY}"


async def test_azure_has_them_at_a_deployment(up, http_client):
    up.replies = [Reply(body=json.dumps(OPENAI).encode())]
    provider = made(azure, "azure", http_client, up.url, api_version="2024-10-21", deployments={"x": "my-x"})

    await provider.embed(WIRE, asked(), "x", DEADLINES)

    assert up.last.target == "/openai/deployments/my-x/embeddings?api-version=2024-10-21"


async def test_gemini_and_cohere_are_asked_by_their_own_wires(up, http_client):
    up.replies = [
        Reply(body=b'{"embeddings":[{"values":[0.5,-1.0]}]}'),
        Reply(body=b'{"embeddings":{"float":[[0.5,-1.0]]},"meta":{"billed_units":{"input_tokens":3}}}'),
    ]

    found = await made(gemini, "gemini", http_client, f"{up.url}/v1beta").embed(WIRE, asked(), "emb-1", DEADLINES)
    assert (found.same, [list(row) for row in found.vectors.vectors]) == (False, [[0.5, -1.0]])
    assert up.last.target == "/v1beta/models/emb-1:batchEmbedContents"
    assert up.last.header("x-goog-api-key") == KEY
    found = await made(cohere, "cohere", http_client, up.url).embed(WIRE, asked(), "embed-v4.0", DEADLINES)
    assert (found.same, [list(row) for row in found.vectors.vectors]) == (False, [[0.5, -1.0]])
    assert (up.last.target, up.last.json["texts"]) == ("/v2/embed", ["hello"])


@pytest.mark.parametrize(("module", "kind"), [(bedrock, "bedrock"), (compatible, "deepseek")])
async def test_those_without_refuse(up, http_client, module, kind):
    with pytest.raises(BadInput, match="no embeddings"):
        await made(module, kind, http_client, up.url, region="us-east-1").embed(WIRE, asked(), "m", DEADLINES)

    assert up.sent == []


async def test_an_error_status_is_a_refusal():
    async with loopback() as up, client() as http_client:
        up.replies = [Reply(429, b'{"error":{"message":"slow"}}', ((b"retry-after", b"2"),))]
        with pytest.raises(Refusal, match="slow") as caught:
            await made(openai, "openai", http_client, up.url).embed(WIRE, asked(), "m", DEADLINES)

    assert caught.value.retry_after == 2.0
