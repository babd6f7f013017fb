"""The operations on logged models."""

from typing import Annotated

from gimbal.axis.runs.candidates.model import LoggedModel, ModelQuery
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page, check_limit

describe("candidates", "Models that runs logged and that may be registered.")


@operation(
    "GET", "/projects/{project}/experiments/{experiment}/candidates", name="candidates.list", allow=Permission.VIEW
)
async def list_candidates(
    ctx: Context,
    project: str,
    experiment: Annotated[str, "Name of the experiment."],
    cursor: str | None = None,
    limit: int = 50,
) -> Page[LoggedModel]:
    """List the models that runs of an experiment logged, newest first."""
    key = (await ctx.get(Runs).experiments.named(ctx, experiment)).key
    asked = ModelQuery(experiments=[key], limit=check_limit(limit), cursor=cursor)
    return await ctx.get(LoggedModels).search(ctx, asked)


@operation("GET", "/projects/{project}/candidates/{id}", name="candidates.show", allow=Permission.VIEW)
async def show_candidate(
    ctx: Context,
    project: str,
    id: Annotated[str, "Id of the logged model: m- and 32 hex digits."],  # noqa: A002 - the name in the path
) -> LoggedModel:
    """Show a logged model with its parameters, tags and newest metrics."""
    return await ctx.get(LoggedModels).get(ctx, id)
