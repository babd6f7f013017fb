"""Audit: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime

from gimbal.axis.projects.model import AuditCheck, AuditRecord
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Audit(Group):
    """The log of who changed what, chained by hash."""

    def list(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        everywhere: bool = False,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[AuditRecord]:
        """List the audit records of the project, newest first.

        Args:
            action: Only operations whose name starts so, for example `assets.`.
            actor: Only what this actor (name or id) did.
            outcome: Only `done`, or only `denied`.
            since: Only from this moment on.
            until: Only before this moment.
            everywhere: Of the whole installation; takes an admin of it.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/audit",
            Page[AuditRecord],
            path={"project": project},
            query={
                "action": action,
                "actor": actor,
                "outcome": outcome,
                "since": since,
                "until": until,
                "everywhere": everywhere,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def verify(self, *, anchor: str | None = None) -> AuditCheck:
        """Check the audit chain of the installation; find a changed, removed, inserted or reordered record.

        Args:
            anchor: `head` of an earlier check, kept elsewhere: shows also a chain written anew.
        """
        return self._transport.call("POST", "/audit/verify", AuditCheck, path={}, query={"anchor": anchor})
