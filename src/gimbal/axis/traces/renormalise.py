"""Reading stored spans anew from the attributes that were kept, when a dialect has learned something."""

from datetime import datetime

from gimbal.axis.traces.derive import derived
from gimbal.axis.traces.model import Renormalised
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import cursor_text

MOST_TRACES = 10_000
_NO_END = 2**63 - 1


async def renormalise(
    ctx: Context, since: datetime, until: datetime | None, *, cursor: str | None = None, limit: int = MOST_TRACES
) -> Renormalised:
    """Read the traces of a stretch of time anew and store what differs; a second time nothing does.

    Raise BadInput for a limit below 1 or above 10,000, or a stretch that ends before it begins.
    """
    if not 1 <= limit <= MOST_TRACES:
        raise BadInput(f"The limit is {limit}.", where="limit", todo=f"Give one from 1 to {MOST_TRACES}.")
    between = to_us(since), _NO_END if until is None else to_us(until)
    if between[1] < between[0]:
        raise BadInput("The stretch of time ends before it begins.", where="until", todo="Give a later moment.")
    after = cursor_text(cursor, "id") if cursor else ""
    return await ctx.get(Traces).reread(ctx, between, derived, after=after, most=limit)
