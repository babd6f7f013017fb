"""A clock that stands still until it is told to move; for tests of schedules, windows and expiry."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """A `gimbal.kernel.clock.Clock` for tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the moment at which it stands."""
        return self._now

    def advance(self, **delta: float) -> None:
        """Move on by a `timedelta(**delta)`; negative values step back, as real clocks do."""
        self._now += timedelta(**delta)

    def move_to(self, moment: datetime) -> None:
        """Stand at `moment`."""
        self._now = moment
