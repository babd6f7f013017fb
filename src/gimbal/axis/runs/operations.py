"""The operations on runs."""

from typing import Annotated

from gimbal.axis.runs.model import Artifact, CreateRun, FinishRun, Logged, LogRun, MetricPoint, Run
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

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


@operation("GET", _RUN, name="runs.show", allow=Permission.VIEW)
async def show_run(ctx: Context, project: str, id: RunId) -> Run:  # noqa: A002 - the name in the path
    """Show a run: parameters, newest metrics, inputs and outputs."""
    return await ctx.get(Runs).get(ctx, id)


@operation("POST", _RUN + "/log", name="runs.log", allow=Permission.DEVELOP)
async def log_run(ctx: Context, project: str, id: RunId, body: LogRun) -> Logged:  # noqa: A002 - as above
    """Log parameters, tags, metric points and inputs in one request; what it answers is durable."""
    return await ctx.get(Runs).log(ctx, id, body)


@operation("POST", _RUN + "/finish", name="runs.finish", allow=Permission.DEVELOP)
async def finish_run(ctx: Context, project: str, id: RunId, body: FinishRun) -> Run:  # noqa: A002 - as above
    """End a run as finished, failed or killed."""
    return await ctx.get(Runs).finish(ctx, id, body)


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
async def list_artifacts(ctx: Context, project: str, id: RunId) -> list[Artifact]:  # noqa: A002 - as above
    """List the files of a run."""
    return await ctx.get(Runs).artifacts(ctx, id)


@operation("GET", _RUN + "/artifacts/{path}", name="runs.artifact", allow=Permission.VIEW)
async def get_artifact(ctx: Context, project: str, id: RunId, path: Path) -> Download:  # noqa: A002 - as above
    """Download one file of a run."""
    return await ctx.get(Runs).artifact(ctx, id, path)
