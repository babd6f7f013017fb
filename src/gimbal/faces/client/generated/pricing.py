"""Pricing: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType

from gimbal.axis.ledger.model import Rerating
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Pricing(Group):
    """Pricing history anew when a price was corrected."""

    def rerate(
        self,
        *,
        from_: datetime,
        to: datetime | None | UnsetType = UNSET,
        provider: str | None | UnsetType = UNSET,
        model: str | None | UnsetType = UNSET,
        reason: str,
        dry_run: bool | UnsetType = UNSET,
        allow_unpriced: bool | UnsetType = UNSET,
        project: str | None = None,
    ) -> Rerating:
        """Price the calls of a stretch of time anew, by the prices that hold for the project now.

        A job does it; `pricing.rerating` tells how far it is. Only figures that differ are changed, and what they were is kept
        with the reason. A call that would lose its cost keeps it unless that is allowed. A second time nothing changes.

        Args:
            from_: Calls that started at or after this.
            to: And before this; null: up to now.
            provider: Only calls of this provider.
            model: Only calls of this model, or of those that fit a pattern with `*`.
            reason: Why, for everybody who meets the change later.
            dry_run: Only tell what would change.
            allow_unpriced: Let calls that have a cost lose it where the book has no price for them now;
                otherwise they keep it.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/pricing/reratings",
            Rerating,
            path={"project": project},
            body={
                "from": from_,
                "to": to,
                "provider": provider,
                "model": model,
                "reason": reason,
                "dry_run": dry_run,
                "allow_unpriced": allow_unpriced,
            },
        )

    def rerating(self, id: str, *, project: str | None = None) -> Rerating:
        """Show a rerating with what it came to by day and model.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/pricing/reratings/{id}", Rerating, path={"project": project, "id": id}
        )

    def reratings(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Rerating]:
        """List when history was priced anew, by whom and why, newest first.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/pricing/reratings",
            Page[Rerating],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )
