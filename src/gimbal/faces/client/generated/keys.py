"""Keys: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.projects.model import ApiKey, IssuedKey
from gimbal.faces.client.group import Group
from gimbal.kernel.context import Role


class Keys(Group):
    """API keys: made, listed, revoked."""

    def create(
        self,
        *,
        name: str,
        role: Role | UnsetType = UNSET,
        days: int | None | UnsetType = UNSET,
        member: str | None | UnsetType = UNSET,
        everywhere: bool | UnsetType = UNSET,
        feature: str | UnsetType = UNSET,
        user: str | UnsetType = UNSET,
        tags: list[str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> IssuedKey:
        """Make an API key for the project; its secret is shown this once.

        Args:
            name: What it is for.
            role: viewer, developer, releaser or admin; not higher than your own.
            days: Days until it expires; null means it does not.
            member: Id of the member whose key it is: it never can more than they, and goes with them. Null: a
                service's key.
            everywhere: For the whole installation instead of this project; takes an admin of the installation.
            feature: What model calls with it are for, where the caller does not say.
            user: For whom they are then.
            tags: Which tags they have then: words, or `key:value`.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/keys",
            IssuedKey,
            path={"project": project},
            body={
                "name": name,
                "role": role,
                "days": days,
                "member": member,
                "everywhere": everywhere,
                "feature": feature,
                "user": user,
                "tags": tags,
            },
        )

    def list(self, *, project: str | None = None) -> list[ApiKey]:
        """List the project's API keys, without their secrets; admins of the installation see its keys as well."""
        return self._transport.call("GET", "/projects/{project}/keys", list[ApiKey], path={"project": project})

    def revoke(self, id: str, *, project: str | None = None) -> ApiKey:
        """Revoke an API key at once.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "DELETE", "/projects/{project}/keys/{id}", ApiKey, path={"project": project, "id": id}
        )
