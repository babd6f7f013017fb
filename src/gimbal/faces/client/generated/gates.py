"""Gates: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.gates.model import Decision, Gate, Rule
from gimbal.faces.client.group import Group


class Gates(Group):
    """Rules that let an alias move on evidence."""

    def list(self, *, project: str | None = None) -> list[Gate]:
        """List the gates of the project."""
        return self._transport.call("GET", "/projects/{project}/gates", list[Gate], path={"project": project})

    def promote(
        self, *, candidate: str, alias: str, reason: str | UnsetType = UNSET, project: str | None = None
    ) -> Decision:
        """Ask the gate to let an alias move; the Decision says what it found, also when it refuses.

        Args:
            candidate: Reference of the version: `model:flights/delay@v2`.
            alias: The alias: `production`.
            reason: Why; kept in the decision.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/promotions",
            Decision,
            path={"project": project},
            body={"candidate": candidate, "alias": alias, "reason": reason},
        )

    def remove(self, id: str, *, project: str | None = None) -> None:
        """Remove a gate; its decisions stay.

        Args:
            id: Its id.
        """
        self._transport.call(
            "DELETE", "/projects/{project}/gates/{id}", type(None), path={"project": project, "id": id}
        )

    def set(self, *, pattern: str, rules: list[Rule], project: str | None = None) -> Gate:
        """Set the gate of an alias pattern; one with the same pattern is replaced.

        Args:
            pattern: Aliases that it guards: `model:flights/delay@production`, `prompt:*@production`.
            rules: All must hold.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/gates",
            Gate,
            path={"project": project},
            body={"pattern": pattern, "rules": rules},
        )
