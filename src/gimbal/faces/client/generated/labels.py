"""Labels: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.monitors.model import Label, LabelsAdded
from gimbal.faces.client.group import Group


class Labels(Group):
    """What turned out to be true of predictions."""

    def add(self, *, endpoint: str, labels: list[Label], project: str | None = None) -> LabelsAdded:
        """Say what turned out to be true of predictions, as late as it becomes known.

        Args:
            endpoint: Slug of the endpoint that predicted.
            labels: 1 to 100,000 labels; a second label of a prediction replaces the first.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/labels",
            LabelsAdded,
            path={"project": project},
            body={"endpoint": endpoint, "labels": labels},
        )
