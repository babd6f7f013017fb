"""A project whose calls are under a policy."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.upstreams import Upstream, serve

from gimbal.axis.assets.service import Assets
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.generative.guards import service
from gimbal.generative.guards.service import Policies
from gimbal.generative.guards.views import PublishPolicy
from gimbal.kernel.context import Context

InForce = Callable[..., Awaitable[str]]


class ThreeWires(Upstream):
    """The upstream, speaking OpenAI's responses as well."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer."""
        if not scope["path"].endswith("/responses"):
            await super().__call__(scope, receive, send)
            return
        request = json.loads((await receive())["body"])
        self.received.append(request)
        part = {"type": "output_text", "text": "".join(self.words), "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 21, "output_tokens": 5, "total_tokens": 26}
        answer = {"id": "resp_1", "object": "response", "created_at": 1, "model": "tiny-2026", "status": "completed"}
        answer |= {"output": [item], "usage": usage, "error": None, "incomplete_details": None}
        if not request.get("stream"):
            await self._json(send, 200, answer)
            return
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        rows: list[dict[str, Any]] = [
            {"type": "response.created", "response": answer | {"status": "in_progress", "output": [], "usage": None}},
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
            {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
            *({"type": "response.output_text.delta", **place, "delta": word} for word in self.words),
            {"type": "response.output_text.done", **place, "text": part["text"]},
            {"type": "response.content_part.done", **place, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": answer},
        ]
        rows = [row | {"sequence_number": number} for number, row in enumerate(rows)]
        lines = [f"event: {row['type']}\ndata: {json.dumps(row)}\n\n" for row in rows]
        await self._stream(receive, send, lines, None)


@pytest.fixture
async def upstream() -> AsyncIterator[ThreeWires]:
    """Give an upstream that speaks three wires; its address is `upstream.url`."""
    app = ThreeWires()
    async with serve(app) as url:
        app.url = url
        yield app
        app.release.set()


@pytest.fixture
def in_force() -> InForce:
    """Give a function that puts a policy file into force in a context's project, and returns the version."""

    async def put(ctx: Context, text: str) -> str:
        published = await service.publish(ctx, PublishPolicy(text=text, name="gateway"))
        await ctx.get(Assets).move_alias(ctx, "policy", "gateway", "production", published.ref.rpartition("@")[2])
        ctx.get(Policies).forget()
        return published.ref

    return put


@pytest.fixture
def span_of() -> Callable[..., Awaitable[Span]]:
    """Give a function that returns the only span of the trace that an answer names."""

    async def find(ctx: Context, headers: dict[str, str]) -> Span:
        (span,) = (await ctx.get(Traces).get(ctx, headers["x-gimbal-trace-id"])).spans
        return span

    return find
