"""What calls cost that no prompt of ours asks; implements `Foresee` of the scores: for judges, and for who writes suites."""

from collections.abc import Sequence

import msgspec

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.asking import Priced
from gimbal.generative.gateway.foreseeing import Size, cost_of, size_of
from gimbal.generative.gateway.prompting import PROMPT
from gimbal.generative.gateway.route_target import ROUTES
from gimbal.generative.gateway.routes.service import as_route
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.refs import Ref

_MESSAGES = 2
_ROUTE = "route:"


async def reckoned(ctx: Context, model: str, given: Sequence[int], longest: int | None) -> Priced:
    """Return the cost of a call with so many bytes (of each) and so long an answer, or why it is not known.

    A route costs what its dearest target does, a prompt its messages as well.
    """
    own = Size(given=given, messages=_MESSAGES, longest=longest)
    try:
        if model.startswith(_ROUTE):
            return await _of_route(ctx, model, own)
        if model.startswith(PROMPT):
            _, manifest = await load_prompt(ctx, Ref.parse(model, kind="prompt"))
            size = size_of(manifest, given)
            whole = msgspec.structs.replace(size, messages=size.messages + _MESSAGES, longest=longest or size.longest)
            return await cost_of(ctx, manifest.model, whole)
    except GimbalError as problem:
        return Priced(unpriced=f"{problem.message} {problem.todo}".strip())
    return await cost_of(ctx, model, own)


async def _of_route(ctx: Context, model: str, size: Size) -> Priced:
    version = await ctx.get(Assets).resolve(ctx, as_route(Ref.parse(model, kind="route")))
    params = {} if size.longest is None else {"params": {"max_tokens": size.longest}}
    messages = {"system": "", "question": ""}
    # Of each its own, so that the mean is theirs and the most the largest one's.
    asked = [
        Example(id=str(n), input={**messages, "question": "x" * count, **params}) for n, count in enumerate(size.given)
    ]
    return await ROUTES.foresee(ctx, version, asked)
