"""Runs: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.runs.model import Artifact, Logged, LogMetric, MetricPoint, Run
from gimbal.faces.client.group import Group
from gimbal.faces.client.transport import RawBody
from gimbal.kernel.pages import Page


class Runs(Group):
    """Tracked computations: parameters, metrics, files, inputs and outputs."""

    def artifact(self, id: str, path: str, *, project: str | None = None) -> Iterator[bytes]:
        """Download one file of a run.

        Args:
            id: Id of the run.
            path: Path of the artifact inside the run.
        """
        return self._transport.download(
            "/projects/{project}/runs/{id}/artifacts/{path}", path={"project": project, "id": id, "path": path}
        )

    def artifact_put(self, id: str, path: str, content: RawBody, *, project: str | None = None) -> Artifact:
        """Keep a file with a run.

        Args:
            id: Id of the run.
            path: Path of the artifact inside the run.
            content: The raw bytes, a file, or chunks.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/runs/{id}/artifacts/{path}",
            Artifact,
            path={"project": project, "id": id, "path": path},
            raw=content,
        )

    def artifacts(self, id: str, *, project: str | None = None) -> list[Artifact]:
        """List the files of a run.

        Args:
            id: Id of the run.
        """
        return self._transport.call(
            "GET", "/projects/{project}/runs/{id}/artifacts", list[Artifact], path={"project": project, "id": id}
        )

    def create(
        self,
        *,
        name: str | UnsetType = UNSET,
        experiment: str | UnsetType = UNSET,
        params: dict[str, Any] | UnsetType = UNSET,
        tags: dict[str, str] | UnsetType = UNSET,
        inputs: list[str] | UnsetType = UNSET,
        started_at: datetime | None | UnsetType = UNSET,
        id: str | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> Run:
        """Start a run.

        Args:
            name: What people call it; made up from the time when empty.
            experiment: What it belongs to.
            params: First parameters.
            tags: First tags.
            inputs: References of versions that it reads: `dataset:flights/train@v1`.
            started_at: When it started, if not now; for runs that are sent later.
            id: UUIDv7 chosen by the sender, so that a repeated request makes one run.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs",
            Run,
            path={"project": project},
            body={
                "name": name,
                "experiment": experiment,
                "params": params,
                "tags": tags,
                "inputs": inputs,
                "started_at": started_at,
                "id": id,
            },
        )

    def finish(
        self,
        id: str,
        *,
        status: Literal["finished", "failed", "killed"] | UnsetType = UNSET,
        error: str | UnsetType = UNSET,
        ended_at: datetime | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> Run:
        """End a run as finished, failed or killed.

        Args:
            id: Id of the run.
            status: How it ended.
            error: Why, when it failed.
            ended_at: When it ended, if not now.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/{id}/finish",
            Run,
            path={"project": project, "id": id},
            body={"status": status, "error": error, "ended_at": ended_at},
        )

    def list(
        self,
        *,
        status: str | None = None,
        experiment: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[Run]:
        """List runs with their newest metrics, newest first.

        Args:
            status: Only running, finished, failed or killed ones.
            experiment: Only of this experiment.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/runs",
            Page[Run],
            path={"project": project},
            query={"status": status, "experiment": experiment, "cursor": cursor, "limit": limit},
        )

    def log(
        self,
        id: str,
        *,
        params: dict[str, Any] | UnsetType = UNSET,
        tags: dict[str, str] | UnsetType = UNSET,
        metrics: list[LogMetric] | UnsetType = UNSET,
        inputs: list[str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Logged:
        """Log parameters, tags, metric points and inputs in one request; what it answers is durable.

        Args:
            id: Id of the run.
            params: Parameters: any JSON value. One that is there already must have the same value.
            tags: Tags; a tag may change.
            metrics: Metric points, in any order.
            inputs: References of versions that the run reads.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/{id}/log",
            Logged,
            path={"project": project, "id": id},
            body={"params": params, "tags": tags, "metrics": metrics, "inputs": inputs},
        )

    def metric(
        self, id: str, name: str, *, cursor: str | None = None, limit: int = 1000, project: str | None = None
    ) -> Page[MetricPoint]:
        """List the points of one metric by step and time.

        Args:
            id: Id of the run.
            name: Name of the metric.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/runs/{id}/metrics/{name}",
            Page[MetricPoint],
            path={"project": project, "id": id, "name": name},
            query={"cursor": cursor, "limit": limit},
        )

    def show(self, id: str, *, project: str | None = None) -> Run:
        """Show a run: parameters, newest metrics, inputs and outputs.

        Args:
            id: Id of the run.
        """
        return self._transport.call("GET", "/projects/{project}/runs/{id}", Run, path={"project": project, "id": id})
