"""Times of sources: moments from microseconds, kept inside the calendar."""

from datetime import datetime

from gimbal.axis.runs.model import MOST_US
from gimbal.kernel.clock import from_us


def at_us(microseconds: int) -> datetime:
    """Return the moment; what lies outside of 1970 to 9999 is put to its end."""
    return from_us(min(max(microseconds, 0), MOST_US))
