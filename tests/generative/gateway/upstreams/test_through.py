"""Files, batches, pictures and sound go through untouched, both ways, and nothing else does."""

import asyncio

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply, make

from gimbal.kernel.errors import BadInput


async def test_a_body_goes_through_both_ways_as_it_is(up, http_client):
    provider = make("openai", http_client, f"{up.url}/v1")
    up.replies = [Reply(201, b"\x00\xff raw", ((b"content-type", b"audio/mpeg"), (b"x-request-id", b"r")))]

    async def parts():
        for part in (b"--b\r\n", b"\x00" * 100_000, b"--b--"):
            yield part

    headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"authorization", b"Bearer gk_x"), (b"te", b"x")]
    response = await provider.pass_through("POST", "files", headers, parts(), deadlines=DEADLINES)
    body = await response.read(100)
    await response.aclose()

    assert (response.status, body, response.header(b"content-type")) == (201, b"\x00\xff raw", b"audio/mpeg")
    assert (up.last.method, up.last.target) == ("POST", "/v1/files")
    assert up.last.body == b"--b\r\n" + b"\x00" * 100_000 + b"--b--"
    assert up.last.header("content-type") == "multipart/form-data; boundary=b"
    assert up.last.header("authorization") == f"Bearer {KEY}"
    assert up.last.header("te") is None


async def test_an_answer_with_an_error_status_goes_through_too(up, http_client):
    up.replies = [Reply(404, b'{"error":{}}')]
    response = await make("openai", http_client, up.url).pass_through(
        "get", "files/file-1/content?part=1", [(b"range", b"bytes=0-9")], deadlines=DEADLINES
    )

    assert (response.status, await response.read(100)) == (404, b'{"error":{}}')
    assert (up.last.method, up.last.target, up.last.header("range")) == (
        "GET",
        "/files/file-1/content?part=1",
        "bytes=0-9",
    )
    await response.aclose()


async def test_what_comes_slowly_is_not_held_back(up, http_client):
    gate = asyncio.Event()
    up.replies = [Reply(body=b"first", headers=((b"content-type", b"text/event-stream"),), gate=gate)]
    response = await make("openai", http_client, up.url).pass_through("POST", "images/edits", [], deadlines=DEADLINES)

    chunks = response.chunks()
    assert await asyncio.wait_for(anext(chunks), 5) == b"first"
    gate.set()
    assert [chunk async for chunk in chunks] == []
    await response.aclose()


@pytest.mark.parametrize(
    "path",
    [
        "chat/completions",
        "filesystem",
        "",
        "files/../chat/completions",
        "files/%2e%2E/chat",
        "files//x",
        "files/./x",
        "/files",
        "http://evil/files",
        "files/a b",
        "files/a\r\nx: y",
        "files/ü",
        "files#x",
        "organization/users",
    ],
)
async def test_other_paths_are_refused_before_anything_is_sent(up, http_client, path):
    with pytest.raises(BadInput):
        await make("openai", http_client, up.url).pass_through("GET", path, [], deadlines=DEADLINES)

    assert up.sent == []


async def test_each_kind_says_what_it_passes(up, http_client):
    anthropic, deepseek = make("anthropic", http_client, up.url), make("deepseek", http_client, up.url)

    assert anthropic.passes_through("messages/count_tokens")
    assert not anthropic.passes_through("messages")
    assert not anthropic.passes_through("organizations/me")
    assert not deepseek.passes_through("files")
    response = await anthropic.pass_through("POST", "messages/count_tokens", [], b"{}", deadlines=DEADLINES)
    await response.aclose()
    assert (up.last.target, up.last.header("x-api-key")) == ("/v1/messages/count_tokens", KEY)
