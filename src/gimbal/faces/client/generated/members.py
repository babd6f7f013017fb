"""Members: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.projects.model import Member
from gimbal.faces.client.group import Group
from gimbal.kernel.context import Role


class Members(Group):
    """The people of a project and their roles."""

    def add(
        self, *, email: str, name: str | UnsetType = UNSET, role: Role | UnsetType = UNSET, project: str | None = None
    ) -> Member:
        """Give a person a role in the project.

        Args:
            email: Address of the person.
            name: What people call them; the address when empty.
            role: viewer, developer, releaser or admin; not higher than your own.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/members",
            Member,
            path={"project": project},
            body={"email": email, "name": name, "role": role},
        )

    def change(self, id: str, *, role: Role, project: str | None = None) -> Member:
        """Give a member another role; their keys can no more than that.

        Args:
            id: Its id.
            role: viewer, developer, releaser or admin; not higher than your own.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/members/{id}",
            Member,
            path={"project": project, "id": id},
            body={"role": role},
        )

    def list(self, *, project: str | None = None) -> list[Member]:
        """List the members of the project."""
        return self._transport.call("GET", "/projects/{project}/members", list[Member], path={"project": project})

    def remove(self, id: str, *, project: str | None = None) -> None:
        """Take a member's role away and revoke their keys.

        Args:
            id: Its id.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/members/{id}", type(None), path={"project": project, "id": id}
        )
