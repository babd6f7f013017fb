"""Sessions: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime

from gimbal.axis.traces.finding_model import Conversation, SessionSummary
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Sessions(Group):
    """Conversations: the traces of one session, told as one."""

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        user: str | None = None,
        feature: str | None = None,
        model: str | None = None,
        status: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[SessionSummary]:
        """List sessions, the one that spoke last first, with what all their traces come to.

        Args:
            since: Spoke at or after this.
            until: Began to speak before this.
            user: Only of this end user.
            feature: Only with a trace of this feature.
            model: Only with a call of this model.
            status: Only with a span that ended so: error, ok, cancelled or unset.
            text: Only sessions whose id contains this.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many sessions at most, 1 to 200.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/sessions",
            Page[SessionSummary],
            path={"project": project},
            query={
                "since": since,
                "until": until,
                "user": user,
                "feature": feature,
                "model": model,
                "status": status,
                "text": text,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def show(self, id: str, *, cursor: str | None = None, limit: int = 20, project: str | None = None) -> Conversation:
        """Show a session as one conversation: of each of its traces what is new in it, with latency, cost and scores.

        Args:
            id: Its id, as its spans name it.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many turns at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/sessions/{id}",
            Conversation,
            path={"project": project, "id": id},
            query={"cursor": cursor, "limit": limit},
        )
