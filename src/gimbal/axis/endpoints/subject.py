"""Endpoints as what is evaluated: `endpoint:delay` means the version that it serves now."""

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.service import Endpoints
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Latest, Ref


async def served(ctx: Context, ref: Ref) -> Version:
    """Return the version that an endpoint serves now; implements `Named` of the evaluations.

    Raise BadInput for a selector, which endpoints do not have, and NotFound where there is no endpoint or no version.
    """
    if not isinstance(ref.selector, Latest):
        raise BadInput(
            f"{ref} selects a version, and an endpoint has none of its own.",
            where="subject",
            todo=f"Write {ref.asset} for what it serves now, or name the version itself.",
        )
    target = (await ctx.get(Endpoints).get(ctx, ref.name)).targets[0].ref
    try:
        # Not from memory as for a call: what was served a second ago is not what shall be tested.
        return await ctx.get(Assets).resolve(ctx, Ref.parse(target))
    except NotFound as problem:
        raise NotFound(
            f"The endpoint {ref.name!r} serves nothing now: {target} means no version.",
            where="subject",
            todo=problem.todo,
        ) from None
