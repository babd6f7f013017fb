"""What calls of a model cost that no prompt asks; implements `Foresee` of the synthesis of suites."""

from collections.abc import Sequence

from gimbal.axis.evals.target import Foreseen
from gimbal.generative.gateway.foreseeing import Size, cost_of
from gimbal.kernel.context import Context

_MESSAGES = 2


async def reckoned(ctx: Context, model: str, given: Sequence[int], longest: int) -> Foreseen:
    """Return the cost of a call with so many bytes (of each) and so long an answer, or why it is not known."""
    return await cost_of(ctx, model, Size(given=given, messages=_MESSAGES, longest=longest))
