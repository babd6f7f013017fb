"""Optimisations: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.faces.client.group import Group
from gimbal.generative.gateway.optimising.model import Candidate, Optimisation
from gimbal.kernel.pages import Page


class Optimisations(Group):
    """Searches for better versions of prompts, each with the proof of what it found."""

    def cancel(self, id: str, *, project: str | None = None) -> Optimisation:
        """Stop an optimisation that runs; its candidates stay, and none becomes a version.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/optimisations/{id}/cancel", Optimisation, path={"project": project, "id": id}
        )

    def candidates(self, id: str, *, project: str | None = None) -> list[Candidate]:
        """List the candidates of an optimisation with their marks on the training part, as they were found.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/optimisations/{id}/candidates",
            list[Candidate],
            path={"project": project, "id": id},
        )

    def list(
        self, *, prompt: str | None = None, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Optimisation]:
        """List optimisations, newest first.

        Args:
            prompt: Only of this prompt: `prompt:help/answer` or with `@v2`.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/optimisations",
            Page[Optimisation],
            path={"project": project},
            query={"prompt": prompt, "cursor": cursor, "limit": limit},
        )

    def show(self, id: str, *, project: str | None = None) -> Optimisation:
        """Show an optimisation: how far it is, what it spent, and the proof of its winner.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/optimisations/{id}", Optimisation, path={"project": project, "id": id}
        )
