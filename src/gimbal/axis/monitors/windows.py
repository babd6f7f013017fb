"""Windows of event time, in UTC: days, weeks from Monday, months."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from gimbal.axis.monitors.model import WindowSize
from gimbal.kernel.clock import from_us

_DAY_US = 86_400_000_000


def floor(moment: datetime, size: WindowSize) -> datetime:
    """Return the start of the window that a moment lies in."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if size == "month" else day


def following(start: datetime, size: WindowSize) -> datetime:
    """Return the start of the next window."""
    if size == "month":
        return (
            start.replace(year=start.year + 1, month=1) if start.month == 12 else start.replace(month=start.month + 1)
        )
    return start + timedelta(days=7 if size == "week" else 1)


def windows_of(days: Sequence[int], size: WindowSize) -> list[tuple[datetime, datetime]]:
    """Return the windows in which these days (since 1970 UTC) lie, oldest first; windows without any are left out."""
    starts = sorted({floor(from_us(day * _DAY_US), size) for day in days})
    return [(start, following(start, size)) for start in starts]
