"""The operations on experiments."""

from typing import Annotated

from gimbal.axis.runs.experiments.model import CreateExperiment, Experiment, UpdateExperiment
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("experiments", "What runs belong to that are compared with each other.")

_ONE = "/projects/{project}/experiments/{experiment}"
ExperimentName = Annotated[str, "Name of the experiment."]


@operation("GET", "/projects/{project}/experiments", name="experiments.list", allow=Permission.VIEW)
async def list_experiments(
    ctx: Context,
    project: str,
    deleted: Annotated[bool, "Those that were deleted, instead of the others."] = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Experiment]:
    """List experiments, newest first."""
    stage = "deleted" if deleted else "active"
    return await ctx.get(Runs).experiments.page(ctx, stage=stage, cursor=cursor, limit=limit)


@operation("POST", "/projects/{project}/experiments", name="experiments.create", allow=Permission.DEVELOP)
async def create_experiment(ctx: Context, project: str, body: CreateExperiment) -> Experiment:
    """Make an experiment; a run that names one that is not there makes it, too."""
    return await ctx.get(Runs).experiments.create(ctx, body)


@operation("GET", _ONE, name="experiments.show", allow=Permission.VIEW)
async def show_experiment(ctx: Context, project: str, experiment: ExperimentName) -> Experiment:
    """Show an experiment, also a deleted one."""
    return await ctx.get(Runs).experiments.named(ctx, experiment)


@operation("PATCH", _ONE, name="experiments.update", allow=Permission.DEVELOP)
async def update_experiment(
    ctx: Context, project: str, experiment: ExperimentName, body: UpdateExperiment
) -> Experiment:
    """Rename or tag an experiment."""
    found = ctx.get(Runs).experiments
    return await found.update(ctx, (await found.named(ctx, experiment)).key, body)


@operation("DELETE", _ONE, name="experiments.delete", allow=Permission.DEVELOP, audited=True)
async def delete_experiment(ctx: Context, project: str, experiment: ExperimentName) -> Experiment:
    """Take an experiment and its runs out of lists; all of it stays until it is restored."""
    runs = ctx.get(Runs)
    return await runs.set_experiment_stage(ctx, (await runs.experiments.named(ctx, experiment)).key, "deleted")


@operation("POST", _ONE + "/restore", name="experiments.restore", allow=Permission.DEVELOP, audited=True)
async def restore_experiment(ctx: Context, project: str, experiment: ExperimentName) -> Experiment:
    """Put a deleted experiment and its runs back into lists."""
    runs = ctx.get(Runs)
    return await runs.set_experiment_stage(ctx, (await runs.experiments.named(ctx, experiment)).key, "active")
