"""Lines of reratings, made of their sums."""

from datetime import date
from decimal import Decimal

from gimbal.axis.ledger.model import RatedLine


def rated_line(
    day: date, provider: str, model: str, *, calls: int, priced: int, unpriced: int, old: Decimal, new: Decimal
) -> RatedLine:
    """Return a line of its sums; a sum of no known figure is unknown."""
    return RatedLine(
        day=day,
        provider=provider,
        model=model,
        calls=calls,
        old=old.normalize() + 0 if calls > priced else None,
        new=new.normalize() + 0 if calls > unpriced else None,
        difference=(new - old).normalize() + 0,
        priced=priced,
        unpriced=unpriced,
    )
