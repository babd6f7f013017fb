"""Calls on other ways than straight to a model: by a route, by a released prompt, beside a shadow, through untouched."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.generative.gateway.test_faults import span_of
from tests.upstreams import WORDS, serve

from gimbal.axis.assets.service import Assets
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.choose import ChoosingClient
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.shadow import Shadows
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

HELLO = [{"role": "user", "content": "What does Gimbal do?"}]
SAID = "".join(WORDS)
PROMPT = """+++
model = "up/tiny"

[params]
temperature = 0.25
+++
## system
You answer for {{product}}.
"""


async def published(ctx: Context, name: str, **manifest: Any) -> str:
    await ctx.get(Assets).add_version(ctx, kind="route", name=name, manifest=manifest)
    return f"route:{name}"


async def ask(http: httpx.AsyncClient, model: str, **more: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_route_goes_on_to_the_next_target(http: httpx.AsyncClient, ctx: Context, streamed: bool) -> None:
    """The caller gets an answer, and hears who gave it; the trace tells of both attempts."""
    route = await published(ctx, "support", targets=["gone/tiny", "claude/tiny"])
    reply = await ask(http, route, stream=streamed)
    assert reply.status_code == 200
    assert WORDS[0].strip() in reply.text
    assert (reply.headers["x-gimbal-provider"], reply.headers["x-gimbal-model"]) == ("claude", "claude/tiny")
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
    assert (span.status, span.provider) == ("ok", "claude")
    outcomes = [(row["model"], row["outcome"]) for row in span.attributes["gimbal.attempts"]]
    assert outcomes[-1] == ("claude/tiny", "ok")
    assert outcomes[0] == ("gone/tiny", "unreachable")
    assert span.attributes["gimbal.route"].startswith("route:support@v1")


async def test_a_route_that_leads_nowhere_is_not_found(http: httpx.AsyncClient) -> None:
    """In the words of the caller's wire."""
    reply = await ask(http, "route:none")
    assert (reply.status_code, reply.json()["error"]["type"]) == (404, "invalid_request_error")


async def test_a_shadow_is_asked_beside_and_recorded_as_one(
    http: httpx.AsyncClient, ctx: Context, upstream: Any
) -> None:
    """In the same trace, beside the call and not beneath it; both are paid for."""
    route = await published(ctx, "shadowed", targets=["up/tiny"], shadow={"model": "claude/tiny", "share": 1.0})
    reply = await ask(http, route)
    assert reply.json()["choices"][0]["message"]["content"] == SAID
    shadows = ctx.get(Shadows)
    async with asyncio.timeout(20):
        while shadows.under_way:  # noqa: ASYNC110 - it tells nobody when it is done
            await asyncio.sleep(0.01)
    spans = (await ctx.get(Traces).get(ctx, reply.headers["x-gimbal-trace-id"])).spans
    by_model = {span.provider: span for span in spans}
    assert set(by_model) == {"up", "claude"}
    assert by_model["claude"].attributes["gimbal.shadow_of"] == by_model["up"].span_id
    assert all(span.billable and not span.parent_id for span in spans)
    assert len(upstream.received) == 2


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_a_released_prompt_is_a_models_name(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, model: str
) -> None:
    """Its messages come first, its parameters hold where the caller has none, and its version is recorded."""
    text = PROMPT.replace("up/tiny", model)
    report = await sync_files(ctx, [PromptFile(path="support/answer.md", text=text)])
    reply = await ask(http, "prompt:support/answer", variables={"product": "Gimbal"})
    assert reply.status_code == 200, reply.text
    sent = upstream.received[-1]
    system = sent["system"] if model.startswith("claude") else sent["messages"][0]["content"]
    assert "You answer for Gimbal." in str(system)
    assert sent["messages"][-1]["content"] in (HELLO[0]["content"], [{"type": "text", "text": HELLO[0]["content"]}])
    assert sent["temperature"] == 0.25
    assert "variables" not in sent
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
    assert report.prompts[0].ref in [ref.split("#")[0] for ref in span.refs]
    assert "You answer for Gimbal." in span.input


async def test_a_forgotten_variable_is_named(http: httpx.AsyncClient, ctx: Context, upstream: Any) -> None:
    """Before anything is sent."""
    await sync_files(ctx, [PromptFile(path="support/answer.md", text=PROMPT)])
    reply = await ask(http, "prompt:support/answer")
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "variables.product"
    assert upstream.received == []


async def test_what_is_no_call_is_recorded_as_what_it_is(http: httpx.AsyncClient, ctx: Context) -> None:
    """Its sender is told in the wire's own words, and the trace tells the same."""
    for path, form in (("/v1/chat/completions", "error"), ("/v1/messages", "error"), ("/v1/responses", "error")):
        reply = await http.post(path, content=b'{"model": ')
        assert reply.status_code == 400
        assert form in reply.json()
        span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
        assert (span.status, span.cost, span.endpoint) == ("error", None, path)
        assert "JSON" in span.status_message


class Vectors:
    """An upstream of embeddings, files and images."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, bytes, dict[str, str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.received.append((scope["method"], scope["path"], body, headers))
        media, reply = b"application/json", b'{"id":"file-1","object":"file"}'
        if scope["path"].endswith("/embeddings"):
            rows = b'[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}]'
            reply = b'{"object":"list","data":' + rows + b',"model":"e-1","usage":{"prompt_tokens":4,"total_tokens":4}}'
        elif scope["path"].endswith("/content"):
            media, reply = b"application/octet-stream", bytes(range(256)) * 4000
        start = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", media), (b"x-request-id", b"r-1")],
        }
        await send(start)
        for place in range(0, len(reply), 50_000):
            await send({"type": "http.response.body", "body": reply[place : place + 50_000], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def beside(gateway: Services) -> AsyncIterator[Vectors]:
    """Let the gateway's only provider, `openai`, be an upstream of vectors and files."""
    upstream = Vectors()
    async with serve(upstream) as url:
        given = ProviderSettings(name="openai", kind="openai", base_url=f"{url}/v1", api_key_env="UP_KEY")
        settings = GatewaySettings(providers=(given,))
        providers = Providers(settings, ChoosingClient(), environ={"UP_KEY": "sk-upstream"})
        gateway.register(Providers, providers)
        yield upstream
        await providers.aclose()


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_embeddings_are_forwarded_counted_and_recorded(
    http: httpx.AsyncClient, ctx: Context, beside: Vectors, form: str
) -> None:
    """As floats, and as the caller asks for them."""
    body = {"model": "openai/text-embedding-3-small", "input": ["a"], "encoding_format": form}
    reply = await http.post("/v1/embeddings", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["data"][0]["embedding"] == [0.5, -1.0]
    assert json.loads(beside.received[0][2])["model"] == "text-embedding-3-small"
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
    assert span.usage is not None
    assert (span.kind, span.status, span.usage.input_tokens) == ("embedding", "ok", 4)
    assert reply.headers["x-request-id"] == "r-1"


@pytest.mark.parametrize("how", ["chunks", "gzip"])
async def test_an_upload_whose_length_nobody_knows_goes_on_in_chunks(
    http: httpx.AsyncClient, beside: Vectors, how: str
) -> None:
    """The caller did not say, or it was the length of what is unpacked here."""
    plain = b"\x00\x01" * 50_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(plain), 30_000):
            yield plain[start : start + 30_000]

    content = chunks() if how == "chunks" else gzip.compress(plain)
    headers = {"content-type": "application/octet-stream"} | ({"content-encoding": "gzip"} if how == "gzip" else {})
    reply = await http.post("/v1/uploads/u/parts", content=content, headers=headers)
    assert reply.status_code == 200, reply.text
    _, _, sent, there = beside.received[0]
    assert sent == plain
    assert ("content-length" in there, there["transfer-encoding"]) == (False, "chunked")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_has_no_body_goes_on_without_one(http: httpx.AsyncClient, beside: Vectors, method: str) -> None:
    """Nor does it say that it has none, or comes in chunks."""
    reply = await http.request(method, "/v1/files/file-1")
    assert reply.status_code == 200
    _, _, sent, there = beside.received[0]
    assert sent == b""
    assert not {"content-length", "transfer-encoding"} & set(there)


async def test_an_upload_that_breaks_off_is_never_taken_for_a_whole_one(
    http: httpx.AsyncClient, ctx: Context, base_url: str, beside: Vectors
) -> None:
    """The provider gets no request that looks complete, and the gateway goes on."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\n"
        b"content-length: 1000\r\n\r\n" + bytes(400)
    )
    await writer.drain()
    writer.close()
    assert (await http.get("/v1/files")).status_code == 200
    assert [(method, path) for method, path, _, _ in beside.received] == [("GET", "/v1/files")]


async def test_files_go_through_untouched_and_are_recorded(
    http: httpx.AsyncClient, ctx: Context, beside: Vectors
) -> None:
    """Both ways, whatever they are; the caller's key stays here and ours goes there."""
    upload = {"file": ("a.jsonl", b"\x00\x01" * 100_000), "purpose": (None, "batch")}
    reply = await http.post("/v1/files", files=upload, headers={"authorization": "Bearer none"})
    assert (reply.status_code, reply.json()["id"]) == (200, "file-1")
    method, path, sent, headers = beside.received[0]
    assert (method, path) == ("POST", "/v1/files")
    assert b"\x00\x01" * 100_000 in sent
    assert headers["authorization"] == "Bearer sk-upstream"
    assert int(headers["content-length"]) == len(sent), "a length that was announced goes on"
    assert "transfer-encoding" not in headers
    content = await http.get("/v1/files/file-1/content")
    assert content.content == bytes(range(256)) * 4000
    span = await span_of(ctx, content.headers["x-gimbal-trace-id"])
    assert (span.kind, span.status, span.cost, span.billable) == ("http", "ok", None, False)


async def test_an_image_is_recorded_as_a_call_without_a_price(
    http: httpx.AsyncClient, ctx: Context, beside: Vectors
) -> None:
    """It is billed, and nobody says what: unpriced, never nothing."""
    reply = await http.post("/v1/images/generations", json={"model": "openai/gpt-image-1", "prompt": "a ring"})
    assert reply.status_code == 200
    assert json.loads(beside.received[0][2])["model"] == "gpt-image-1"
    span = await span_of(ctx, reply.headers["x-gimbal-trace-id"])
    assert (span.kind, span.model, span.cost, span.unpriced) == ("llm", "gpt-image-1", None, "pass_through")


@pytest.mark.parametrize("path", ["/v1/files/../../secret", "/v1/files/%2e%2e/%2e%2e/secret", "/v1/files//x"])
async def test_nothing_outside_is_reached_by_passing_through(base_url: str, beside: Vectors, path: str) -> None:
    """However the path is written."""
    host, port = base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert beside.received == []
