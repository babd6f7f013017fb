"""The door for clients of Anthropic: messages and their count of tokens."""

from gimbal.generative.gateway.dialect.answering import answered
from gimbal.generative.gateway.dialect.counting import counted
from gimbal.generative.gateway.wire.anthropic import WIRE
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import HttpReply, HttpRequest, dialect


@dialect("POST", "/v1/messages", dialect="anthropic", allow=Permission.DEVELOP, on_error=WIRE.error_reply)
async def messages(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer a message, streamed or whole, by whom the model's name means."""
    return await answered(ctx, request, WIRE)


@dialect("POST", "/v1/messages/count_tokens", dialect="anthropic", allow=Permission.DEVELOP, on_error=WIRE.error_reply)
async def count_tokens(ctx: Context, request: HttpRequest) -> HttpReply:
    """Count the tokens of a request: by the provider where it speaks this wire, else about, by `x-gimbal-estimated: true`."""
    asked = WIRE.asked(await request.body.read(), {})
    return await counted(ctx, request, WIRE, asked, through="messages/count_tokens")
