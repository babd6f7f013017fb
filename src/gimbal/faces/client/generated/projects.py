"""Projects: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.projects.model import Project
from gimbal.faces.client.group import Group


class Projects(Group):
    """Boundaries for members, keys and data."""

    def archive(self, *, undo: bool = False, project: str | None = None) -> Project:
        """Archive a project: it can be read and not changed.

        Args:
            undo: True takes it back into use.
        """
        return self._transport.call(
            "POST", "/projects/{project}/archive", Project, path={"project": project}, query={"undo": undo}
        )

    def create(self, *, slug: str, title: str | UnsetType = UNSET) -> Project:
        """Make a project.

        Args:
            slug: Lower-case letters, digits and '-'.
            title: Name for people; the slug when empty.
        """
        return self._transport.call("POST", "/projects", Project, path={}, body={"slug": slug, "title": title})

    def list(self) -> list[Project]:
        """List the projects that you may see."""
        return self._transport.call("GET", "/projects", list[Project], path={})

    def show(self, *, project: str | None = None) -> Project:
        """Show one project."""
        return self._transport.call("GET", "/projects/{project}", Project, path={"project": project})
