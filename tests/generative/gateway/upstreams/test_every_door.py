"""Every door to every kind of provider, over a real connection: what is asked there, and what comes back."""

import itertools
import json

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply, loopback, make
from tests.generative.gateway.upstreams.test_vertex import ACCOUNT, token
from tests.wire_answers import GIVEN, SAID, USAGES, stream, whole
from tests.wires import DOORS, PARAMETERS, ask, gathered, rich, sent

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import Upstream

AWS = json.dumps({"access_key_id": "AKID", "secret_access_key": "secret-0123456789"})
# kind, model, wire that answers, settings
KINDS = {
    "openai": ("openai", "gpt-4o", "chat", {}),
    "responses only": ("openai", "o3-pro", "responses", {}),
    "azure": ("azure", "gpt-4o", "chat", {"api_version": "2024-10-21"}),
    "mistral": ("mistral", "mistral-large", "chat", {}),
    "vllm": ("vllm", "org/m", "chat", {}),
    "anthropic": ("anthropic", "claude-5", "anthropic", {}),
    "gemini": ("gemini", "gemini-3", "gemini", {}),
    "vertex gemini": ("vertex", "gemini-3", "gemini", {"region": "eu"}),
    "vertex claude": ("vertex", "claude-5@1", "anthropic", {"region": "eu"}),
    "vertex others": ("vertex", "meta/llama", "chat", {"region": "eu"}),
    "bedrock": ("bedrock", "anthropic.claude-5-v1:0", "bedrock", {"region": "eu-west-1"}),
    "cohere": ("cohere", "command-a", "cohere", {}),
}
STREAM_TYPES = {"bedrock": b"application/vnd.amazon.eventstream"}


@pytest.fixture
async def google(name):
    if not name.startswith("vertex"):
        yield None
        return
    async with loopback() as app:
        app.replies = [token()]
        yield app


def provider_of(name, http_client, up, google):
    kind, model, wire, settings = KINDS[name]
    key = {"vertex": json.dumps(ACCOUNT), "bedrock": AWS}.get(kind, KEY)
    more = {"token_url": f"{google.url}/token"} if kind == "vertex" else {}
    return make(kind, http_client, up.url, key, wires=wire_named, **settings, **more), model, wire


@pytest.mark.parametrize("name", KINDS)
async def test_any_door_leads_to_it(up, google, http_client, name):
    provider, model, main = provider_of(name, http_client, up, google)
    for door, streamed in itertools.product(DOORS, (False, True)):
        wire = door if DOORS[door].name in provider.speaks(model) else main
        media = STREAM_TYPES.get(wire, b"text/event-stream") if streamed else b"application/json"
        up.replies = [Reply(body=(stream if streamed else whole)(wire), headers=((b"content-type", media),))]

        answer = await provider.open(Call(DOORS[door], ask(door, rich(door), stream=streamed)), model, DEADLINES)
        pieces = [piece async for piece in answer.pieces] if streamed else [answer.whole]
        await answer.aclose()

        done, here = gathered(pieces), (door, streamed)
        assert answer.same == (door == wire), here
        assert done.text == SAID, here
        assert json.loads(done.tool_calls[0].arguments) == GIVEN, here
        assert done.usage == USAGES[wire], here
        asked = sent(wire, {"model": model} | up.last.json)
        assert asked["tools"] == [("weather", "Look.", PARAMETERS)], here
        assert asked["sampling"] == {"max_tokens": 500, "temperature": 0.5, "top_p": 0.9}, here
        assert ("model" in up.last.json) == (wire not in {"gemini", "bedrock"} and name != "vertex claude"), here


@pytest.mark.parametrize("name", KINDS)
async def test_a_stream_that_ends_in_the_middle_is_told(up, google, http_client, name):
    provider, model, wire = provider_of(name, http_client, up, google)
    door = wire if wire in DOORS else "chat"
    media = STREAM_TYPES.get(wire, b"text/event-stream")
    raw = stream(wire)
    up.replies = [Reply(body=raw[: len(raw) // 2], headers=((b"content-type", media),))]

    answer = await provider.open(Call(DOORS[door], ask(door, rich(door), stream=True)), model, DEADLINES)
    with pytest.raises(Upstream, match="up"):
        async for _ in answer.pieces:
            pass
    await answer.aclose()


@pytest.mark.parametrize("name", KINDS)
async def test_a_page_of_a_proxy_is_no_answer(up, google, http_client, name):
    provider, model, wire = provider_of(name, http_client, up, google)
    up.replies = [Reply(body=b"<html>it works</html>", headers=((b"content-type", b"text/html"),))]
    door = wire if wire in DOORS else "chat"

    with pytest.raises(Upstream, match=r"up|The provider"):
        await provider.open(Call(DOORS[door], ask(door, rich(door))), model, DEADLINES)
    answer = await provider.open(Call(DOORS[door], ask(door, rich(door), stream=True)), model, DEADLINES)
    with pytest.raises(Upstream, match=r"up|The provider"):
        async for _ in answer.pieces:
            pass
    await answer.aclose()
