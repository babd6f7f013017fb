"""The door for clients of OpenAI: chat completions, responses, embeddings and models."""

import msgspec

from gimbal.generative.gateway.dialect.answering import answered
from gimbal.generative.gateway.flight import EMBEDDINGS
from gimbal.generative.gateway.providers.registry import ModelCard, Providers
from gimbal.generative.gateway.wire.openai_chat import WIRE as CHAT
from gimbal.generative.gateway.wire.openai_embeddings import WIRE as VECTORS
from gimbal.generative.gateway.wire.openai_responses import WIRE as RESPONSES
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect


@dialect("POST", "/v1/chat/completions", dialect="openai", allow=Permission.DEVELOP, on_error=CHAT.error_reply)
async def chat_completions(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer a chat completion, streamed or whole, by whom the model's name means: a provider's model, a route, a prompt.

    Attribution: `x-gimbal-feature` or `metadata.feature`, `user`, `safety_identifier` or `x-gimbal-user`, `x-gimbal-session`,
    `x-gimbal-prompt` (a prompt's reference, recorded resolved), `x-gimbal-tags` (words or `key:value`, between commas),
    `x-gimbal-endpoint` instead of the path, `traceparent`. The id of the key that calls is recorded. `x-gimbal-timeout-ms`
    says how long the caller waits. The answer's header `x-gimbal-trace-id` names the trace that records the call.
    """
    return await answered(ctx, request, CHAT)


@dialect("POST", "/v1/responses", dialect="openai", allow=Permission.DEVELOP, on_error=RESPONSES.error_reply)
async def responses(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer a response, streamed or whole, as chat completions are."""
    return await answered(ctx, request, RESPONSES)


@dialect("POST", "/v1/embeddings", dialect="openai", allow=Permission.DEVELOP, on_error=VECTORS.error_reply)
async def embeddings(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer with vectors, as floats or base64, by whom the model's name means."""
    return await answered(ctx, request, VECTORS, operation=EMBEDDINGS)


def _card(card: ModelCard) -> dict[str, str | int]:
    return {"id": card.id, "object": "model", "created": 0, "owned_by": card.provider}


@dialect("GET", "/v1/models", dialect="openai", allow=Permission.VIEW, on_error=CHAT.error_reply)
async def list_models(ctx: Context, request: HttpRequest) -> HttpReply:
    """List the models of every provider, as `provider/model`."""
    cards = await ctx.get(Providers).models(ctx.project or "default")
    return HttpReply(body=msgspec.json.encode({"object": "list", "data": [_card(card) for card in cards]}))


@dialect("GET", "/v1/models/{id*}", dialect="openai", allow=Permission.VIEW, on_error=CHAT.error_reply)
async def show_model(ctx: Context, request: HttpRequest) -> HttpReply:
    """Show one model; NotFound when no provider lists it."""
    name = request.parameters["id"]
    for card in await ctx.get(Providers).models(ctx.project or "default"):
        if card.id == name:
            return HttpReply(body=msgspec.json.encode(_card(card)))
    raise NotFound(f"There is no model {name!r}.", where="model", todo="GET /v1/models lists what there is.")
