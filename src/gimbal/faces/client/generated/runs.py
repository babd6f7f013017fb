"""Runs: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.runs.charts.model import Chart, Comparison
from gimbal.axis.runs.imports.model import Fingerprint, Imported, ImportedExperiment, ImportedModel, ImportedRun
from gimbal.axis.runs.model import (
    Artifact,
    Beat,
    DeletedArtifacts,
    Logged,
    LogMetric,
    MetricColumns,
    MetricPoint,
    Run,
    RunInfo,
)
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

    def artifact_delete(self, id: str, path: str, *, project: str | None = None) -> DeletedArtifacts:
        """Remove a file of a run, or a folder with all that is in it.

        Args:
            id: Id of the run.
            path: Path of the artifact inside the run.
        """
        return self._transport.call(
            "DELETE",
            "/projects/{project}/runs/{id}/artifacts/{path}",
            DeletedArtifacts,
            path={"project": project, "id": id, "path": path},
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

    def artifacts(self, id: str, *, folder: str = "", project: str | None = None) -> list[Artifact]:
        """List the files of a run.

        Args:
            id: Id of the run.
            folder: Only files in this folder of the run, and below it.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/runs/{id}/artifacts",
            list[Artifact],
            path={"project": project, "id": id},
            query={"folder": folder},
        )

    def beat(self, id: str, *, every_s: int | None | UnsetType = UNSET, project: str | None = None) -> Beat:
        """Say that the sender of a run is there; without a word for three times the promised time it is dead.

        Args:
            id: Id of the run.
            every_s: How often it promises to be heard of, in seconds; as before when left out.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/{id}/beat",
            Beat,
            path={"project": project, "id": id},
            body={"every_s": every_s},
        )

    def chart(
        self,
        *,
        metric: str | UnsetType = UNSET,
        kind: Literal["line", "scatter", "parallel", "contour", "importance"] | UnsetType = UNSET,
        runs: list[str] | UnsetType = UNSET,
        experiment: str | None | UnsetType = UNSET,
        x: Literal["step", "time", "relative"] | UnsetType = UNSET,
        smooth: float | UnsetType = UNSET,
        log: Literal["", "x", "y", "xy"] | UnsetType = UNSET,
        band: str | UnsetType = UNSET,
        by: list[str] | UnsetType = UNSET,
        named: bool | UnsetType = UNSET,
        height: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> Chart:
        """Make a chart over runs as a Vega-Lite spec.

        Curves keep the highest and lowest value of every stretch that is drawn as one; the fewer runs, the more points each.

        Args:
            metric: The metric that is drawn; for `parallel` the last axis, for `contour` and `scatter` the
                colour.
            kind: `line` over steps or time, `scatter` and `contour` over two columns, `parallel` over many, or
                `importance` of the parameters for the metric.
            runs: Ids of runs, in the order of their colours; the newest ten that fit `experiment` where there
                are none.
            experiment: Only runs of this experiment, where `runs` names none.
            x: What a line goes over: steps, time, or seconds since the run started.
            smooth: Weight of what came before, 0 to 0.99; 0 draws the values as they are.
            log: Logarithmic axes.
            band: A column such as `params.depth` or `name`: runs that are equal in it become one line, the
                mean, with the 95 % interval of the mean at each step.
            by: Columns such as `params.depth` or `metrics.auc`: two for `scatter` and `contour`, some for
                `parallel`.
            named: Whether lines are named in a legend and the axis after the metric; not where the page around
                it does so.
            height: Height in points.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/chart",
            Chart,
            path={"project": project},
            body={
                "metric": metric,
                "kind": kind,
                "runs": runs,
                "experiment": experiment,
                "x": x,
                "smooth": smooth,
                "log": log,
                "band": band,
                "by": by,
                "named": named,
                "height": height,
            },
        )

    def compare(self, *, runs: list[str], project: str | None = None) -> Comparison:
        """Put runs beside each other: parameters, tags and newest metrics, and which of them differ.

        Args:
            runs: Ids of runs; the first is the one that others are compared with.
        """
        return self._transport.call(
            "POST", "/projects/{project}/runs/compare", Comparison, path={"project": project}, body={"runs": runs}
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
        user: str | UnsetType = UNSET,
        parent_id: str | None | UnsetType = UNSET,
        group: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        id: str | None | UnsetType = UNSET,
        beat_s: int | None | UnsetType = UNSET,
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
            user: Who runs it; whoever asks when empty.
            parent_id: Id of the run that it is a part of.
            group: What runs share that are one study, sweep or distributed job.
            note: What there is to say about it, in Markdown.
            id: UUIDv7 chosen by the sender, so that a repeated request makes one run.
            beat_s: The sender promises to be heard of so often, in seconds; a run that is silent for three
                times that is dead.
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
                "user": user,
                "parent_id": parent_id,
                "group": group,
                "note": note,
                "id": id,
                "beat_s": beat_s,
            },
        )

    def delete(self, id: str, *, project: str | None = None) -> RunInfo:
        """Take a run out of lists; it and its files stay until it is restored or its time is over.

        Args:
            id: Id of the run.
        """
        return self._transport.call(
            "DELETE", "/projects/{project}/runs/{id}", RunInfo, path={"project": project, "id": id}
        )

    def fingerprints(
        self, *, ids: list[str], content: bool | UnsetType = UNSET, project: str | None = None
    ) -> list[Fingerprint]:
        """Show what imported runs are known by, to compare them with where they came from.

        Args:
            ids: Their ids; those that are not here are left out of the answer.
            content: Whether to count and digest what is kept of each, which reads all of it.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/fingerprints",
            list[Fingerprint],
            path={"project": project},
            body={"ids": ids, "content": content},
        )

    def finish(
        self,
        id: str,
        *,
        status: Literal["finished", "failed", "killed"] | UnsetType = UNSET,
        error: str | UnsetType = UNSET,
        ended_at: datetime | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> RunInfo:
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
            RunInfo,
            path={"project": project, "id": id},
            body={"status": status, "error": error, "ended_at": ended_at},
        )

    def import_many(
        self,
        *,
        experiments: list[ImportedExperiment] | UnsetType = UNSET,
        runs: list[ImportedRun] | UnsetType = UNSET,
        models: list[ImportedModel] | UnsetType = UNSET,
        done: dict[str, str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> list[Imported]:
        """Bring whole runs over from another tracker, with their ids, times and states; the same again changes nothing.

        Args:
            experiments: Experiments, with or without runs.
            runs: Whole runs, or parts of large ones.
            models: Logged models; runs that they name have come before.
            done: Runs of which everything has come now, each with the digest of what it was there.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/import",
            list[Imported],
            path={"project": project},
            body={"experiments": experiments, "runs": runs, "models": models, "done": done},
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
        columns: MetricColumns | None | UnsetType = UNSET,
        inputs: list[str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Logged:
        """Log parameters, tags, metric points and inputs in one request; what it answers is durable.

        Args:
            id: Id of the run.
            params: Parameters: any JSON value. One that is there already must have the same value.
            tags: Tags; a tag may change.
            metrics: Metric points, in any order.
            columns: Metric points as columns: smaller and faster where there are many.
            inputs: References of versions that the run reads.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/{id}/log",
            Logged,
            path={"project": project, "id": id},
            body={"params": params, "tags": tags, "metrics": metrics, "columns": columns, "inputs": inputs},
        )

    def media(self, id: str, path: str, *, project: str | None = None) -> Iterator[bytes]:
        """Return an image or a sound of a run with the type that its first bytes say; anything else is refused.

        Args:
            id: Id of the run.
            path: Path of the artifact inside the run.
        """
        return self._transport.download(
            "/projects/{project}/runs/{id}/media/{path}", path={"project": project, "id": id, "path": path}
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

    def restore(self, id: str, *, project: str | None = None) -> RunInfo:
        """Put a deleted run back into lists.

        Args:
            id: Id of the run.
        """
        return self._transport.call(
            "POST", "/projects/{project}/runs/{id}/restore", RunInfo, path={"project": project, "id": id}
        )

    def search(
        self,
        *,
        experiments: list[int] | None | UnsetType = UNSET,
        filter: str | UnsetType = UNSET,
        order: list[str] | UnsetType = UNSET,
        view: Literal["active", "deleted", "all"] | UnsetType = UNSET,
        cursor: str | None | UnsetType = UNSET,
        limit: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> Page[Run]:
        """Find runs by metrics, parameters, tags and attributes, in any order.

        Args:
            experiments: Numbers of experiments of the project; null for all of them, an empty list for none.
            filter: Comparisons joined by AND: `metrics.auc > 0.8 AND params.depth = '3' AND tags.team LIKE
                'op%'`.
            order: `metrics.auc DESC`, `attributes.start_time ASC`; newest first where nothing is said, and
                where all else is equal.
            view: Runs that are not deleted, deleted ones, or both.
            cursor: `next` of the page before, with the same filter and order.
            limit: How many on a page; 1,000 at most.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/runs/search",
            Page[Run],
            path={"project": project},
            body={
                "experiments": experiments,
                "filter": filter,
                "order": order,
                "view": view,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def show(self, id: str, *, project: str | None = None) -> Run:
        """Show a run: parameters, newest metrics, inputs and outputs.

        Args:
            id: Id of the run.
        """
        return self._transport.call("GET", "/projects/{project}/runs/{id}", Run, path={"project": project, "id": id})

    def update(
        self,
        id: str,
        *,
        name: str | None | UnsetType = UNSET,
        note: str | None | UnsetType = UNSET,
        status: Literal["scheduled", "running", "finished", "failed", "killed", "dead"] | None | UnsetType = UNSET,
        ended_at: datetime | None | UnsetType = UNSET,
        error: str | None | UnsetType = UNSET,
        tags: dict[str, str | None] | UnsetType = UNSET,
        project: str | None = None,
    ) -> RunInfo:
        """Rename a run, write its note, set or take away tags, end it or go on with it.

        Args:
            id: Id of the run.
            name: Its new name.
            note: What there is to say about it, in Markdown.
            status: `running` goes on with a run that had ended.
            ended_at: When it ended, with a status that says so; now when left out.
            error: Why it failed.
            tags: Tags to set; null takes one away.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/runs/{id}",
            RunInfo,
            path={"project": project, "id": id},
            body={"name": name, "note": note, "status": status, "ended_at": ended_at, "error": error, "tags": tags},
        )
