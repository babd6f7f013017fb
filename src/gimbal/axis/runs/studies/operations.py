"""The operations on studies and trials."""

from typing import Annotated

from gimbal.axis.runs.studies.model import (
    Changed,
    CreateStudy,
    CreateTrial,
    Study,
    Trial,
    Trials,
    UpdateStudy,
    UpdateTrial,
)
from gimbal.axis.runs.studies.service import Studies
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("studies", "Searches for good parameters; each trial is a run.")

_ONE = "/projects/{project}/studies/{study}"
_TRIAL = "/projects/{project}/trials/{trial}"
StudyName = Annotated[str, "Number of the study, or its name."]
TrialId = Annotated[int, "Id of the trial, not its number."]


@operation("GET", "/projects/{project}/studies", name="studies.list", allow=Permission.VIEW)
async def list_studies(
    ctx: Context,
    project: str,
    name: Annotated[str | None, "Only the one of this name."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Study]:
    """List studies, newest first."""
    return await ctx.get(Studies).page(ctx, name=name, cursor=cursor, limit=limit)


@operation("POST", "/projects/{project}/studies", name="studies.create", allow=Permission.DEVELOP)
async def create_study(ctx: Context, project: str, body: CreateStudy) -> Study:
    """Begin a study."""
    return await ctx.get(Studies).create(ctx, body)


@operation("GET", _ONE, name="studies.show", allow=Permission.VIEW)
async def show_study(ctx: Context, project: str, study: StudyName) -> Study:
    """Show a study."""
    return await ctx.get(Studies).get(ctx, study)


@operation("PATCH", _ONE, name="studies.update", allow=Permission.DEVELOP)
async def update_study(ctx: Context, project: str, study: StudyName, body: UpdateStudy) -> Study:
    """Set attributes of a study."""
    return await ctx.get(Studies).update(ctx, study, body)


@operation("DELETE", _ONE, name="studies.delete", allow=Permission.DEVELOP, audited=True)
async def delete_study(ctx: Context, project: str, study: StudyName) -> Study:
    """Delete a study; the runs of its trials go out of lists and can be restored one by one."""
    return await ctx.get(Studies).delete(ctx, study)


@operation("POST", _ONE + "/trials", name="studies.begin", allow=Permission.DEVELOP)
async def begin_trial(ctx: Context, project: str, study: StudyName, body: CreateTrial) -> Trial:
    """Begin a trial with the next number, or put one in line."""
    return await ctx.get(Studies).begin(ctx, study, body)


@operation("GET", _ONE + "/trials", name="studies.trials", allow=Permission.VIEW)
async def list_trials(
    ctx: Context,
    project: str,
    study: StudyName,
    after: Annotated[int, "Only those that changed after this revision; -1 for all."] = -1,
    limit: int = 1000,
) -> Trials:
    """List the trials of a study in the order of their changes, so that one can ask for what is new."""
    return await ctx.get(Studies).changes(ctx, study, after=after, limit=limit)


@operation("GET", _ONE + "/silent", name="studies.silent", allow=Permission.VIEW)
async def silent_trials(ctx: Context, project: str, study: StudyName) -> list[int]:
    """List the ids of trials that are said to run, and whose sender is not heard of any more."""
    return await ctx.get(Studies).silent(ctx, study)


@operation("GET", _TRIAL, name="studies.trial", allow=Permission.VIEW)
async def show_trial(ctx: Context, project: str, trial: TrialId) -> Trial:
    """Show a trial."""
    return await ctx.get(Studies).get_trial(ctx, trial)


@operation("PATCH", _TRIAL, name="studies.change", allow=Permission.DEVELOP)
async def change_trial(ctx: Context, project: str, trial: TrialId, body: UpdateTrial) -> Changed:
    """Change a trial that has not ended, claim one that waits, or end it; of several who claim it one gets it."""
    return await ctx.get(Studies).change(ctx, trial, body)
