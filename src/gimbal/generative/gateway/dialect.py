"""The routes that clients of OpenAI call: `POST /v1/chat/completions` and `GET /v1/models`."""

import asyncio
import contextlib

import msgspec

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.pipeline import AnswerStream, run
from gimbal.generative.gateway.providers.catalog import ModelCard, Providers
from gimbal.generative.gateway.stages.encode import whole
from gimbal.generative.gateway.wire import openai
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import GimbalError, NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect

_CHAT = "/v1/chat/completions"
_CLIENT_CLOSED = 499
"""Nobody reads it; the usual status in logs for a caller who has gone."""


@dialect("POST", _CHAT, dialect="openai", allow=Permission.DEVELOP, on_error=openai.error_reply)
async def chat_completions(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer a chat completion by the provider that the model's name says, streamed or whole.

    Attribution: `x-gimbal-feature` or `metadata.feature`, `user` or `x-gimbal-user`, `x-gimbal-session`,
    `x-gimbal-prompt` (a prompt's reference, recorded resolved), `x-gimbal-tags` (words or `key:value`, between commas),
    `x-gimbal-endpoint` instead of the path, `traceparent`. The id of the key that calls is recorded. The answer's header
    `x-gimbal-trace-id` names the trace that records the call.
    """
    call = openai.decode(await request.body.read(), request.headers, endpoint=_CHAT)
    flight = Flight(ctx, call)
    try:
        present = await _while_present(flight, request)
    except GimbalError as problem:
        reply = openai.error_reply(problem)
        return msgspec.structs.replace(reply, headers=reply.headers | _headers(flight))
    if not present:
        return HttpReply(status=_CLIENT_CLOSED, headers=_headers(flight))
    if call.stream:
        headers = _headers(flight) | {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return HttpReply(body=AnswerStream(flight), media_type="text/event-stream", headers=headers)
    return HttpReply(body=whole(flight), headers=_headers(flight))


async def _while_present(flight: Flight, request: HttpRequest) -> bool:
    """Run the call, and stop it when the caller goes away meanwhile; return whether the caller is still there."""
    work = asyncio.ensure_future(run(flight))
    gone = asyncio.ensure_future(request.disconnected())
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            return True
        return False
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, GimbalError):
                await work


def _headers(flight: Flight) -> dict[str, str]:
    headers = {"x-gimbal-trace-id": flight.call.trace.trace_id, "x-gimbal-model": flight.shown_model}
    if flight.finishing is not None and flight.cost is not None:
        headers["x-gimbal-cost-usd"] = f"{flight.cost:f}"
    return {name: value.encode("ascii", "replace").decode() for name, value in headers.items()}


def _card(card: ModelCard) -> dict[str, str | int]:
    return {"id": card.id, "object": "model", "created": 0, "owned_by": card.provider}


@dialect("GET", "/v1/models", dialect="openai", allow=Permission.VIEW, on_error=openai.error_reply)
async def list_models(ctx: Context, request: HttpRequest) -> HttpReply:
    """List the models of every provider, as `provider/model`."""
    cards = await ctx.get(Providers).models()
    return HttpReply(body=msgspec.json.encode({"object": "list", "data": [_card(card) for card in cards]}))


@dialect("GET", "/v1/models/{id*}", dialect="openai", allow=Permission.VIEW, on_error=openai.error_reply)
async def show_model(ctx: Context, request: HttpRequest) -> HttpReply:
    """Show one model; NotFound when no provider lists it."""
    name = request.parameters["id"]
    for card in await ctx.get(Providers).models():
        if card.id == name:
            return HttpReply(body=msgspec.json.encode(_card(card)))
    raise NotFound(f"There is no model {name!r}.", where="model", todo="GET /v1/models lists what there is.")
