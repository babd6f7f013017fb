"""Time is UTC with microseconds: aware datetimes in records, integer microseconds (`*_us`) in columns."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from gimbal.kernel.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """What tells the time; tests hand in `gimbal.testing.clock.FrozenClock`."""

    def now(self) -> datetime:
        """Return the present moment as an aware UTC datetime."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the present moment as an aware UTC datetime."""
        return datetime.now(UTC)


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC; a naive datetime raises BadInput."""
    if moment.tzinfo is None:
        raise BadInput(f"The time {moment.isoformat()} has no zone.", todo="Add one, for example a trailing Z for UTC.")
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the aware UTC datetime that `to_us` made `microseconds` from."""
    return _EPOCH + timedelta(microseconds=microseconds)


def iso(moment: datetime) -> str:
    """Return RFC 3339 text in UTC with microseconds and a trailing Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str, where: str = "time") -> datetime:
    """Read RFC 3339 text, seconds and zone optional (no zone means UTC); raise BadInput for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at both ends of the calendar
        raise BadInput(f"{text!r} is not a time.", where=where, todo="Write it like 2026-05-03T12:00Z.") from None
