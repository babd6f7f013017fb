"""Schedules: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from gimbal.engines.compute.model import Schedule
from gimbal.faces.client.group import Group


class Schedules(Group):
    """Jobs that start by the clock."""

    def list(self, *, project: str | None = None) -> list[Schedule]:
        """List the schedules of the project."""
        return self._transport.call("GET", "/projects/{project}/schedules", list[Schedule], path={"project": project})

    def remove(self, slug: str, *, project: str | None = None) -> None:
        """Remove a schedule; the jobs that it started stay.

        Args:
            slug: Its name.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/schedules/{slug}", type(None), path={"project": project, "slug": slug}
        )

    def set(
        self,
        *,
        slug: str,
        cron: str,
        job: str,
        payload: dict[str, Any] | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
        project: str | None = None,
    ) -> Schedule:
        """Set a schedule; one with the same slug is replaced.

        Args:
            slug: Its name.
            cron: Five fields in UTC: `0 6 * * *` is every day at six.
            job: Kind of job that it starts: `monitors.run`.
            payload: What the job is given.
            enabled: False keeps it without starting anything.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/schedules",
            Schedule,
            path={"project": project},
            body={"slug": slug, "cron": cron, "job": job, "payload": payload, "enabled": enabled},
        )
