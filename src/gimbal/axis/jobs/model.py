"""What one gives to set a schedule."""

from typing import Any

import msgspec


class SetSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule to set; one with the same slug is replaced."""

    slug: str
    """Its name."""
    cron: str
    """Five fields in UTC: `0 6 * * *` is every day at six."""
    job: str
    """Kind of job that it starts: `monitors.run`."""
    payload: dict[str, Any] = {}
    """What the job is given."""
    enabled: bool = True
    """False keeps it without starting anything."""
