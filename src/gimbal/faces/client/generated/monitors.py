"""Monitors: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.monitors.model import Monitor, MonitorReport
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Monitors(Group):
    """Scheduled questions about production: drift and performance."""

    def list(self, *, project: str | None = None) -> list[Monitor]:
        """List the monitors of the project."""
        return self._transport.call("GET", "/projects/{project}/monitors", list[Monitor], path={"project": project})

    def remove(self, slug: str, *, project: str | None = None) -> None:
        """Remove a monitor with its reports.

        Args:
            slug: Slug of the monitor.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/monitors/{slug}", type(None), path={"project": project, "slug": slug}
        )

    def reports(
        self, slug: str, *, cursor: str | None = None, limit: int = 20, project: str | None = None
    ) -> Page[MonitorReport]:
        """List what a monitor found, newest first.

        Args:
            slug: Slug of the monitor.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/monitors/{slug}/reports",
            Page[MonitorReport],
            path={"project": project, "slug": slug},
            query={"cursor": cursor, "limit": limit},
        )

    def run(self, slug: str, *, project: str | None = None) -> MonitorReport:
        """Let a monitor look now; its report is stored.

        Args:
            slug: Slug of the monitor.
        """
        return self._transport.call(
            "POST", "/projects/{project}/monitors/{slug}/run", MonitorReport, path={"project": project, "slug": slug}
        )

    def set(
        self,
        *,
        slug: str,
        endpoint: str,
        reference: str,
        baseline: str,
        label: str,
        features: list[str] | UnsetType = UNSET,
        window: Literal["day", "week", "month"] | UnsetType = UNSET,
        level: float | UnsetType = UNSET,
        least_drift: float | UnsetType = UNSET,
        project: str | None = None,
    ) -> Monitor:
        """Set a monitor of an endpoint; one with the same slug is replaced.

        Args:
            slug: Its name in addresses.
            endpoint: Slug of the endpoint that it watches.
            reference: Reference of the dataset whose features are normal: what the model was trained on.
            baseline: Reference of a labelled dataset that the model had not seen: how good it was when it was
                let in.
            label: Column of the baseline that holds the true label.
            features: Columns to watch; empty means all that the reference has and the endpoint records.
            window: Length of one window, by the event time of the predictions.
            level: Coverage of intervals; 1 − level is the chance of any false alarm in one report.
            least_drift: Distance (of distribution functions or of shares, 0 to 1) from which drift matters.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/monitors",
            Monitor,
            path={"project": project},
            body={
                "slug": slug,
                "endpoint": endpoint,
                "reference": reference,
                "baseline": baseline,
                "label": label,
                "features": features,
                "window": window,
                "level": level,
                "least_drift": least_drift,
            },
        )

    def show(self, slug: str, *, project: str | None = None) -> Monitor:
        """Show a monitor.

        Args:
            slug: Slug of the monitor.
        """
        return self._transport.call(
            "GET", "/projects/{project}/monitors/{slug}", Monitor, path={"project": project, "slug": slug}
        )
