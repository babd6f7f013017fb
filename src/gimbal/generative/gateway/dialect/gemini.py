"""The door for clients of Gemini: generateContent, streamGenerateContent and countTokens; the model stands in the address."""

from gimbal.generative.gateway.dialect.answering import answered
from gimbal.generative.gateway.dialect.counting import counted
from gimbal.generative.gateway.wire.gemini import WIRE
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect

_COUNT = "countTokens"
_ACTIONS = ("generateContent", "streamGenerateContent", _COUNT)


@dialect("POST", "/v1beta/models/{call*}", dialect="gemini", allow=Permission.DEVELOP, on_error=WIRE.error_reply)
@dialect("POST", "/v1/models/{call*}", dialect="gemini", allow=Permission.DEVELOP, on_error=WIRE.error_reply)
async def generate(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer by whom the model in the address means: `models/<model>:generateContent` or `:streamGenerateContent`."""
    model, _, action = request.parameters["call"].rpartition(":")
    if not model or action not in _ACTIONS:
        raise NotFound(
            f"There is no {request.parameters['call'][:200]!r} here.",
            where="path",
            todo=f"Call models/<model>:{' or :'.join(_ACTIONS)}.",
        )
    path = {"model": model, "action": action, "alt": request.query.get("alt", "")}
    if action == _COUNT:
        return await counted(ctx, request, WIRE, WIRE.asked(await request.body.read(), path))
    return await answered(ctx, request, WIRE, path=path)
