"""The operations on runs."""

from typing import Annotated

from gimbal.axis.runs.filling import filled, info_of
from gimbal.axis.runs.model import (
    Artifact,
    Beat,
    BeatRun,
    CreateRun,
    DeletedArtifacts,
    FinishRun,
    Logged,
    LogRun,
    MetricPoint,
    Run,
    RunInfo,
    UpdateRun,
)
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.search.service import search
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page, check_limit

describe("runs", "Tracked computations: parameters, metrics, files, inputs and outputs.")

_RUN = "/projects/{project}/runs/{id}"
RunId = Annotated[str, "Id of the run."]
Path = Annotated[str, "Path of the artifact inside the run."]


@operation("POST", "/projects/{project}/runs", name="runs.create", allow=Permission.DEVELOP)
async def create_run(ctx: Context, project: str, body: CreateRun) -> Run:
    """Start a run."""
    return await ctx.get(Runs).create(ctx, body)


@operation("GET", "/projects/{project}/runs", name="runs.list", allow=Permission.VIEW)
async def list_runs(
    ctx: Context,
    project: str,
    status: Annotated[str | None, "Only running, finished, failed or killed ones."] = None,
    experiment: Annotated[str | None, "Only of this experiment."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Run]:
    """List runs with their newest metrics, newest first."""
    return await ctx.get(Runs).page(ctx, status=status, experiment=experiment, cursor=cursor, limit=limit)


@operation("POST", "/projects/{project}/runs/search", name="runs.search", allow=Permission.VIEW)
async def search_runs(ctx: Context, project: str, body: RunQuery) -> Page[Run]:
    """Find runs by metrics, parameters, tags and attributes, in any order."""
    check_limit(body.limit)
    found = await search(ctx, body)
    return Page(items=await filled(ctx.get(Catalog), ctx.get(Points), ctx, found.items), next=found.next)


@operation("GET", _RUN, name="runs.show", allow=Permission.VIEW)
async def show_run(ctx: Context, project: str, id: RunId) -> Run:  # noqa: A002 - the name in the path
    """Show a run: parameters, newest metrics, inputs and outputs."""
    return await ctx.get(Runs).get(ctx, id)


@operation("POST", _RUN + "/log", name="runs.log", allow=Permission.DEVELOP)
async def log_run(ctx: Context, project: str, id: RunId, body: LogRun) -> Logged:  # noqa: A002 - as above
    """Log parameters, tags, metric points and inputs in one request; what it answers is durable."""
    return await ctx.get(Runs).log(ctx, id, body)


@operation("POST", _RUN + "/beat", name="runs.beat", allow=Permission.DEVELOP)
async def beat_run(ctx: Context, project: str, id: RunId, body: BeatRun) -> Beat:  # noqa: A002 - as above
    """Say that the sender of a run is there; without a word for three times the promised time it is dead."""
    return await ctx.get(Runs).beat(ctx, id, body)


@operation("POST", _RUN + "/finish", name="runs.finish", allow=Permission.DEVELOP)
async def finish_run(ctx: Context, project: str, id: RunId, body: FinishRun) -> RunInfo:  # noqa: A002 - as above
    """End a run as finished, failed or killed."""
    return await ctx.get(Runs).finish(ctx, id, body)


@operation("PATCH", _RUN, name="runs.update", allow=Permission.DEVELOP)
async def update_run(ctx: Context, project: str, id: RunId, body: UpdateRun) -> RunInfo:  # noqa: A002 - as above
    """Rename a run, write its note, set or take away tags, end it or go on with it."""
    return info_of(await ctx.get(Runs).update(ctx, id, body))


@operation("DELETE", _RUN, name="runs.delete", allow=Permission.DEVELOP, audited=True)
async def delete_run(ctx: Context, project: str, id: RunId) -> RunInfo:  # noqa: A002 - as above
    """Take a run out of lists; it and its files stay until it is restored or its time is over."""
    return await ctx.get(Runs).set_stage(ctx, id, "deleted")


@operation("POST", _RUN + "/restore", name="runs.restore", allow=Permission.DEVELOP, audited=True)
async def restore_run(ctx: Context, project: str, id: RunId) -> RunInfo:  # noqa: A002 - as above
    """Put a deleted run back into lists."""
    return await ctx.get(Runs).set_stage(ctx, id, "active")


@operation("GET", _RUN + "/metrics/{name}", name="runs.metric", allow=Permission.VIEW)
async def run_metric(
    ctx: Context,
    project: str,
    id: RunId,  # noqa: A002 - as above
    name: Annotated[str, "Name of the metric."],
    cursor: str | None = None,
    limit: int = 1000,
) -> Page[MetricPoint]:
    """List the points of one metric by step and time."""
    return await ctx.get(Runs).metric(ctx, id, name, cursor=cursor, limit=limit)


@operation("PUT", _RUN + "/artifacts/{path}", name="runs.artifact-put", allow=Permission.DEVELOP)
async def put_artifact(ctx: Context, project: str, id: RunId, path: Path, body: Upload) -> Artifact:  # noqa: A002
    """Keep a file with a run."""
    return await ctx.get(Runs).put_artifact(ctx, id, path, body)


@operation("GET", _RUN + "/artifacts", name="runs.artifacts", allow=Permission.VIEW)
async def list_artifacts(
    ctx: Context,
    project: str,
    id: RunId,  # noqa: A002 - as above
    folder: Annotated[str, "Only files in this folder of the run, and below it."] = "",
) -> list[Artifact]:
    """List the files of a run."""
    return await ctx.get(Runs).artifacts(ctx, id, folder)


@operation("DELETE", _RUN + "/artifacts/{path}", name="runs.artifact-delete", allow=Permission.DEVELOP, audited=True)
async def delete_artifact(ctx: Context, project: str, id: RunId, path: Path) -> DeletedArtifacts:  # noqa: A002
    """Remove a file of a run, or a folder with all that is in it."""
    return DeletedArtifacts(files=await ctx.get(Runs).delete_artifact(ctx, id, path))


@operation("GET", _RUN + "/artifacts/{path}", name="runs.artifact", allow=Permission.VIEW)
async def get_artifact(ctx: Context, project: str, id: RunId, path: Path) -> Download:  # noqa: A002 - as above
    """Download one file of a run."""
    return await ctx.get(Runs).artifact(ctx, id, path)
