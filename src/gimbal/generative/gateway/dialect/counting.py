"""How many tokens a request has: by the provider where it says so, else about, and marked as that."""

from typing import Protocol

from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.upstreams.sending import Sender
from gimbal.generative.gateway.stages.settle import tokens_asked
from gimbal.generative.gateway.wire.protocol import Asked, Wire
from gimbal.generative.guards.service import Policies
from gimbal.kernel.context import Context
from gimbal.kernel.http import HttpReply, HttpRequest

_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=30.0, between_s=30.0, total_s=60.0)
_MOST = 64 * 1024


class Counting(Wire, Protocol):
    """A wire that can be asked for a count."""

    def counted(self, tokens: int) -> bytes:
        """Return the body of the answer."""
        ...


async def counted(ctx: Context, request: HttpRequest, wire: Counting, asked: Asked, *, through: str = "") -> HttpReply:
    """Answer how many tokens a request has. `through` is the path below a provider that counts by this very wire.

    Nothing is billed for it, so nothing is recorded.
    """
    provider, model = await ctx.get(Providers).route(ctx.project or "default", asked.model)
    # What a project's guards have not looked at goes to nobody, not to be counted either.
    guarded = await ctx.get(Policies).of(ctx) is not None
    if through and not guarded and isinstance(provider, Sender) and provider.passes_through(through):
        headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
        body = wire.same(asked, model)
        answer = await provider.pass_through("POST", through, headers, body, deadlines=_DEADLINES)
        try:
            return HttpReply(status=answer.status, body=await answer.read(_MOST))
        finally:
            await answer.aclose()
    tokens = tokens_asked(Call(wire, asked))
    return HttpReply(body=wire.counted(tokens), headers={"x-gimbal-estimated": "true"})
