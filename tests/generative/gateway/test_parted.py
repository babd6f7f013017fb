"""Vectors that take several requests: what those used that were answered is recorded though nobody gets their vectors."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.upstreams import serve

from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.choose import ChoosingClient
from gimbal.generative.gateway.attribution import Attribution
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.flight import EMBEDDINGS, Flight
from gimbal.generative.gateway.pipeline import run
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.routes.service import publish
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.gateway.wire.openai_embeddings import WIRE
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

MODEL = "text-embedding-3-small"
PRICE = Decimal("0.02") / 1_000_000
MOST = 96
USED = 7
"""Tokens that every request is said to have used."""
HEDGED = f"""
name = "hedged"
targets = ["slow/{MODEL}", "fast/{MODEL}"]
[resilience.hedge]
after_s = 0.001
share = 1
to = "next"
"""


class Cohere:
    """Answers each batch; the one that begins with `bad` when so many others are in, and by what the script says."""

    def __init__(self) -> None:
        self.script: list[int] = []
        self.come: list[str] = []
        self.held = 0
        self.enough = asyncio.Event()
        self.silent = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        texts = json.loads(body)["texts"]
        self.come.append(texts[0])
        status = 200
        if texts[0] == "bad" and self.script:
            status = self.script.pop(0)
            await self.enough.wait()
        elif len(self.come) > self.held:
            self.enough.set()
        said: dict[str, Any] = {"embeddings": {"float": [[0.5]] * len(texts)}}
        if not self.silent:
            said["meta"] = {"billed_units": {"input_tokens": USED}}
        if status != 200:
            said = {"message": "not this one"}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


@pytest.fixture
async def up() -> AsyncIterator[tuple[Cohere, str]]:
    app = Cohere()
    async with serve(app) as url:
        yield app, url
        app.enough.set()


@pytest.fixture
async def providers(up: tuple[Cohere, str]) -> AsyncIterator[Providers]:
    """Give `slow` and `fast`, which are one place that takes 96 texts a request."""
    _, url = up
    given = [
        ProviderSettings(name=name, kind="cohere", base_url=url, api_key_env="KEY", pricing="openai")
        for name in ("slow", "fast")
    ]
    found = Providers(GatewaySettings(providers=tuple(given)), ChoosingClient(), environ={"KEY": "k-0123456789"})
    yield found
    await found.aclose()


def texts(batches: int) -> list[str]:
    """Return the inputs of so many requests, of which the first one is bad."""
    return ["bad", *["a word"] * (batches * MOST - 1)]


async def spans_of(ctx: Context, trace_id: str, number: int) -> list[Span]:
    """Return the spans of a trace once there are so many, the call itself first."""
    async with asyncio.timeout(10):
        while True:
            try:
                spans = (await ctx.get(Traces).get(ctx, trace_id)).spans
                if len(spans) >= number:
                    return sorted(spans, key=lambda one: "gimbal.parts_answered" in one.attributes)
            except NotFound:
                pass
            await asyncio.sleep(0.02)


async def asked(http: httpx.AsyncClient, given: list[str], model: str = f"slow/{MODEL}") -> httpx.Response:
    return await http.post("/v1/embeddings", json={"model": model, "input": given})


async def test_what_was_answered_before_a_request_failed_is_billed(
    http: httpx.AsyncClient, ctx: Context, up: tuple[Cohere, str]
) -> None:
    app, _ = up
    app.script, app.held = [422], 20
    reply = await asked(http, texts(24))

    assert reply.status_code == 422
    call, part = await spans_of(ctx, reply.headers["x-gimbal-trace-id"], 2)
    answered = part.attributes["gimbal.parts_answered"]
    # Eight are under way together: when so many have come the others had been answered.
    assert 20 - 8 <= answered <= 23
    assert (call.status, call.usage, call.cost) == ("error", None, None)
    assert part.usage is not None
    assert (part.usage.input_tokens, part.cost) == (answered * USED, answered * USED * PRICE)
    assert (part.name, part.status, part.kind) == (f"embeddings slow/{MODEL}", "cancelled", "embedding")
    assert (part.estimated, part.output) == (False, "")
    assert part.status_message == f"{answered} of its requests had been answered; nobody got their vectors."
    assert call.start_us <= part.start_us <= part.end_us <= call.end_us
    summary = (await ctx.get(Traces).get(ctx, call.trace_id)).summary
    assert summary.cost == part.cost


async def test_what_another_attempt_answers_after_all_is_billed_beside_it(
    http: httpx.AsyncClient, ctx: Context, up: tuple[Cohere, str]
) -> None:
    app, _ = up
    app.script, app.held = [503], 10
    reply = await asked(http, texts(16))

    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["prompt_tokens"] == 16 * USED
    call, part = await spans_of(ctx, reply.headers["x-gimbal-trace-id"], 2)
    assert call.usage is not None
    assert (call.status, call.usage.input_tokens) == ("ok", 16 * USED)
    assert part.usage is not None
    assert part.usage.input_tokens == part.attributes["gimbal.parts_answered"] * USED >= (10 - 8) * USED
    assert [row["outcome"] for row in call.attributes["gimbal.attempts"]] == ["refused", "ok"]


async def test_an_attempt_that_was_overtaken_is_billed_for_what_it_was_answered(
    http: httpx.AsyncClient, ctx: Context, up: tuple[Cohere, str]
) -> None:
    """Nobody waits for its end: what is known of it when the other one has answered is recorded."""
    app, _ = up
    app.script, app.held = [503], 10**6
    await publish(ctx, PublishRoute(text=HEDGED))
    reply = await asked(http, texts(16), "route:hedged")

    assert reply.status_code == 200, reply.text
    call, part = await spans_of(ctx, reply.headers["x-gimbal-trace-id"], 2)
    assert (call.status, call.name) == ("ok", f"embeddings fast/{MODEL}")
    assert part.name == f"embeddings slow/{MODEL}"
    assert part.usage is not None
    assert 0 < part.usage.input_tokens == part.attributes["gimbal.parts_answered"] * USED <= 15 * USED
    assert part.end_us <= call.end_us


async def test_a_caller_who_goes_away_leaves_the_bill_for_what_was_answered(
    ctx: Context, up: tuple[Cohere, str]
) -> None:
    app, _ = up
    app.script, app.held = [200], 10**6
    body = json.dumps({"model": f"slow/{MODEL}", "input": texts(12)}).encode()
    flight = Flight(
        ctx, Call(WIRE, WIRE.asked(body, {}), attribution=Attribution()), operation=EMBEDDINGS, at_once=True
    )
    task = asyncio.create_task(run(flight))
    async with asyncio.timeout(10):
        while len(app.come) < 12:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    call, part = await spans_of(ctx, flight.call.trace.trace_id, 2)
    assert (call.status, call.usage) == ("cancelled", None)
    assert part.usage is not None
    assert 4 * USED <= part.usage.input_tokens == part.attributes["gimbal.parts_answered"] * USED <= 11 * USED


async def test_what_an_answered_request_does_not_tell_is_estimated_and_marked(
    http: httpx.AsyncClient, ctx: Context, up: tuple[Cohere, str]
) -> None:
    app, _ = up
    app.script, app.held, app.silent = [422], 10, True
    reply = await asked(http, texts(12))

    _, part = await spans_of(ctx, reply.headers["x-gimbal-trace-id"], 2)
    assert part.estimated
    assert part.usage is not None
    assert part.usage.input_tokens >= part.attributes["gimbal.parts_answered"] * MOST


@pytest.mark.parametrize(("batches", "script"), [(4, []), (1, [422]), (1, [])])
async def test_what_is_answered_whole_or_not_at_all_is_one_span(
    http: httpx.AsyncClient, ctx: Context, up: tuple[Cohere, str], batches: int, script: list[int]
) -> None:
    app, _ = up
    app.script = list(script)
    app.enough.set()
    reply = await asked(http, texts(batches))

    (call,) = await spans_of(ctx, reply.headers["x-gimbal-trace-id"], 1)
    assert call.usage == (None if script else call.usage)
    if not script:
        assert call.usage is not None
        assert (call.usage.input_tokens, call.cost) == (batches * USED, batches * USED * PRICE)
