"""What a span cost before, for the page of its trace."""

from collections.abc import Sequence

from gimbal.axis.ledger import changes
from gimbal.axis.ledger.model import CostChange
from gimbal.axis.traces.corrections import Correction
from gimbal.kernel.context import Context

_MOST = 10


class CostCorrections:
    """Tells traces of the changes that the ledger keeps."""

    async def of_span(self, ctx: Context, trace_id: str, span_id: str) -> Sequence[Correction]:
        """Return the newest corrections of a span's cost, the last one first."""
        found = await changes.page(ctx, rerating=None, trace=trace_id, span=span_id, day=None, cursor=None, limit=_MOST)
        return [_correction(one) for one in sorted(found.items, key=lambda one: one.changed_at, reverse=True)]


def _correction(change: CostChange) -> Correction:
    saved = change.old_saved is not None or change.new_saved is not None
    return Correction(
        old=change.old_saved if saved else change.old_cost,
        old_reason=change.old_unpriced,
        old_book=change.old_book,
        new=change.new_saved if saved else change.new_cost,
        new_reason=change.new_unpriced,
        new_book=change.new_book,
        saved=saved,
        reason=change.reason,
        by=change.changed_by,
        at=change.changed_at,
    )
