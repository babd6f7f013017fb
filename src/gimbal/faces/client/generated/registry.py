"""Registry: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.assets.registry.model import RegisteredName
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Registry(Group):
    """Models and prompts under the names by which MLflow knows them."""

    def list(
        self, *, kind: str = "model", cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[RegisteredName]:
        """List registered models, or prompts, by name, with the asset that each is.

        Args:
            kind: model or prompt.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/registry",
            Page[RegisteredName],
            path={"project": project},
            query={"kind": kind, "cursor": cursor, "limit": limit},
        )

    def show(self, name: str, *, project: str | None = None) -> RegisteredName:
        """Show what has this name in the registry, with the asset that it is.

        Args:
            name: Name in the registry, as its clients write it.
        """
        return self._transport.call(
            "GET", "/projects/{project}/registry/{name}", RegisteredName, path={"project": project, "name": name}
        )
