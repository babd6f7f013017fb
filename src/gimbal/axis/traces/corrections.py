"""What a call cost before its cost was computed again.

Who corrects costs stands above traces: the page of a trace asks them by the Protocol below, where this process has them.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from gimbal.axis.traces.model import Span
from gimbal.kernel.context import Context


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a call's cost was changed after it was stored."""

    old: Decimal | None
    """US dollars; None: it was unpriced."""
    old_reason: str
    """Why it was."""
    old_book: str
    new: Decimal | None
    new_reason: str
    new_book: str
    saved: bool
    """Whether these are what an answer from the application's own cache would have cost."""
    reason: str
    by: str
    at: datetime


class Corrections(Protocol):
    """Keeps what costs were before; the room of the ledger does."""

    async def of_span(self, ctx: Context, trace_id: str, span_id: str) -> Sequence[Correction]:
        """Return the newest corrections of a span's cost, the last one first."""
        ...


async def of_span(ctx: Context, span: Span) -> Sequence[Correction]:
    """Return those of a span that can have been priced; none where nobody keeps them here."""
    if span.usage is None or not ctx.services.has(Corrections):
        return ()
    return await ctx.get(Corrections).of_span(ctx, span.trace_id, span.span_id)
