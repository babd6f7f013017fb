"""Experiments: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.runs.experiments.model import Experiment
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Experiments(Group):
    """What runs belong to that are compared with each other."""

    def create(
        self,
        *,
        name: str,
        tags: dict[str, str] | UnsetType = UNSET,
        artifact_location: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Experiment:
        """Make an experiment; a run that names one that is not there makes it, too.

        Args:
            name: Unique in the project, also among deleted ones.
            tags: First tags.
            artifact_location: Where another tool keeps the files of its runs; kept as text, nothing is fetched
                from there.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/experiments",
            Experiment,
            path={"project": project},
            body={"name": name, "tags": tags, "artifact_location": artifact_location},
        )

    def delete(self, experiment: str, *, project: str | None = None) -> Experiment:
        """Take an experiment and its runs out of lists; all of it stays until it is restored.

        Args:
            experiment: Name of the experiment.
        """
        return self._transport.call(
            "DELETE",
            "/projects/{project}/experiments/{experiment}",
            Experiment,
            path={"project": project, "experiment": experiment},
        )

    def list(
        self, *, deleted: bool = False, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Experiment]:
        """List experiments, newest first.

        Args:
            deleted: Those that were deleted, instead of the others.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/experiments",
            Page[Experiment],
            path={"project": project},
            query={"deleted": deleted, "cursor": cursor, "limit": limit},
        )

    def restore(self, experiment: str, *, project: str | None = None) -> Experiment:
        """Put a deleted experiment and its runs back into lists.

        Args:
            experiment: Name of the experiment.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/experiments/{experiment}/restore",
            Experiment,
            path={"project": project, "experiment": experiment},
        )

    def show(self, experiment: str, *, project: str | None = None) -> Experiment:
        """Show an experiment, also a deleted one.

        Args:
            experiment: Name of the experiment.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/experiments/{experiment}",
            Experiment,
            path={"project": project, "experiment": experiment},
        )

    def update(
        self,
        experiment: str,
        *,
        name: str | None | UnsetType = UNSET,
        tags: dict[str, str | None] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Experiment:
        """Rename or tag an experiment.

        Args:
            experiment: Name of the experiment.
            name: Its new name.
            tags: Tags to set; null takes one away.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/experiments/{experiment}",
            Experiment,
            path={"project": project, "experiment": experiment},
            body={"name": name, "tags": tags},
        )
