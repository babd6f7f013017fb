"""Candidates: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.runs.candidates.model import LoggedModel
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Candidates(Group):
    """Models that runs logged and that may be registered."""

    def list(
        self, experiment: str, *, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[LoggedModel]:
        """List the models that runs of an experiment logged, newest first.

        Args:
            experiment: Name of the experiment.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/experiments/{experiment}/candidates",
            Page[LoggedModel],
            path={"project": project, "experiment": experiment},
            query={"cursor": cursor, "limit": limit},
        )

    def show(self, id: str, *, project: str | None = None) -> LoggedModel:
        """Show a logged model with its parameters, tags and newest metrics.

        Args:
            id: Id of the logged model: m- and 32 hex digits.
        """
        return self._transport.call(
            "GET", "/projects/{project}/candidates/{id}", LoggedModel, path={"project": project, "id": id}
        )
