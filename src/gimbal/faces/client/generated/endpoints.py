"""Endpoints: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType

from gimbal.axis.endpoints.model import Endpoint, EndpointTraffic, Prediction, Target
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Endpoints(Group):
    """What callers call: targets that follow aliases, and their traffic."""

    def list(self, *, project: str | None = None) -> list[Endpoint]:
        """List the endpoints of the project and what they resolve to."""
        return self._transport.call("GET", "/projects/{project}/endpoints", list[Endpoint], path={"project": project})

    def predictions(
        self,
        slug: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        entity: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[Prediction]:
        """List what an endpoint predicted, with the inputs, newest event time first.

        Args:
            slug: Slug of the endpoint.
            since: Event time at or after this.
            until: Event time before this.
            entity: What they are about.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/endpoints/{slug}/predictions",
            Page[Prediction],
            path={"project": project, "slug": slug},
            query={"since": since, "until": until, "entity": entity, "cursor": cursor, "limit": limit},
        )

    def remove(self, slug: str, *, project: str | None = None) -> None:
        """Remove an endpoint; what it recorded stays.

        Args:
            slug: Slug of the endpoint.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/endpoints/{slug}", type(None), path={"project": project, "slug": slug}
        )

    def set(
        self, *, slug: str, targets: list[Target], capture: bool | UnsetType = UNSET, project: str | None = None
    ) -> Endpoint:
        """Set an endpoint; one with the same slug is replaced.

        Args:
            slug: Its name in addresses: `delay` answers at /v2/models/delay/infer.
            targets: Exactly one for now.
            capture: Whether predictions are recorded with their inputs; monitors need them.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/endpoints",
            Endpoint,
            path={"project": project},
            body={"slug": slug, "targets": targets, "capture": capture},
        )

    def show(self, slug: str, *, project: str | None = None) -> Endpoint:
        """Show an endpoint and what it resolves to.

        Args:
            slug: Slug of the endpoint.
        """
        return self._transport.call(
            "GET", "/projects/{project}/endpoints/{slug}", Endpoint, path={"project": project, "slug": slug}
        )

    def traffic(self, slug: str, *, project: str | None = None) -> list[EndpointTraffic]:
        """Show how many predictions an endpoint recorded per day of event time.

        Args:
            slug: Slug of the endpoint.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/endpoints/{slug}/traffic",
            list[EndpointTraffic],
            path={"project": project, "slug": slug},
        )
