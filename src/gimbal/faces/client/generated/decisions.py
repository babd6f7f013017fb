"""Decisions: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.gates.model import Decision
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Decisions(Group):
    """What gates decided, with every number they used."""

    def list(
        self, *, asset: str | None = None, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Decision]:
        """List decisions, newest first.

        Args:
            asset: Only of this asset: `model:flights/delay`.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/decisions",
            Page[Decision],
            path={"project": project},
            query={"asset": asset, "cursor": cursor, "limit": limit},
        )

    def show(self, id: str, *, project: str | None = None) -> Decision:
        """Show a decision with every number that it used.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/decisions/{id}", Decision, path={"project": project, "id": id}
        )
