"""HttpServices: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Asset
from gimbal.axis.evals.http.model import PublishedHttpService
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class HttpServices(Group):
    """Services over HTTP that suites are put through, as versions."""

    def list(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Asset]:
        """List the HTTP services of a project with their aliases, by name.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/http-services",
            Page[Asset],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def publish(
        self,
        *,
        text: str,
        name: str | UnsetType = UNSET,
        path: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> PublishedHttpService:
        """Turn the file of an HTTP service into a version, `http:NAME`, that suites can be put through.

        The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
        version already says makes no new one. Nothing is called.

        Args:
            text: The file's whole text, in TOML.
            name: The service's name; empty: as the file says.
            path: What the file is called, for messages.
            note: Why, for the history of the versions; a commit id is a good note.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/http-services",
            PublishedHttpService,
            path={"project": project},
            body={"text": text, "name": name, "path": path, "note": note},
        )
