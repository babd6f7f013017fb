"""MLflow's calls on experiments: made, found, renamed, tagged, deleted and restored."""

from typing import Any

import msgspec

from gimbal.axis.runs.experiments.model import DEFAULT, MAX_EXPERIMENT_NAME, CreateExperiment, UpdateExperiment
from gimbal.axis.runs.service import Runs
from gimbal.faces.mlflow.names import MAX_EXPERIMENT_TAG, KeyValue, key, value
from gimbal.faces.mlflow.reading import SHOWN_DEFAULT, experiment_id, experiment_of, shown_experiment
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.wire import needed
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NameTaken, NotFound

_LONGEST_LOCATION = 2000


class NewExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment to make."""

    name: str = ""
    artifact_location: str = ""
    tags: list[KeyValue] = []


class OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment by its id."""

    experiment_id: str = ""


class NamedExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment by its name."""

    experiment_name: str = ""


class RenamedExperiment(OneExperiment, frozen=True, kw_only=True):
    """An experiment's new name."""

    new_name: str = ""


class ExperimentTag(OneExperiment, frozen=True, kw_only=True):
    """A tag of an experiment."""

    key: str = ""
    value: str = ""


@call("POST", "/mlflow/experiments/create", NewExperiment, allow=Permission.DEVELOP)
async def create(ctx: Context, asked: NewExperiment) -> dict[str, str]:
    """Make an experiment."""
    location = asked.artifact_location
    if location.startswith("runs:") or len(location) > _LONGEST_LOCATION or not location.isprintable():
        raise BadInput(f"'{location[:80]}' cannot be where artifacts are.", where="artifact_location")
    tags = {key(one.key, "tags.key"): _tag_value(one.value) for one in asked.tags}
    body = CreateExperiment(name=_new_name(asked.name), tags=tags, artifact_location=location)
    try:
        made = await ctx.get(Runs).experiments.create(ctx, body)
    except NameTaken:
        raise _taken(asked.name) from None
    return {"experiment_id": experiment_id(made.key, made.name)}


@call("GET", "/mlflow/experiments/get", OneExperiment, allow=Permission.VIEW)
async def get(ctx: Context, asked: OneExperiment) -> dict[str, Any]:
    """Show an experiment, also a deleted one."""
    return {"experiment": shown_experiment(await experiment_of(ctx, asked.experiment_id))}


@call("GET", "/mlflow/experiments/get-by-name", NamedExperiment, allow=Permission.VIEW)
async def get_by_name(ctx: Context, asked: NamedExperiment) -> dict[str, Any]:
    """Show the experiment of a name, also a deleted one."""
    found = ctx.get(Runs).experiments
    name = needed("experiment_name", asked.experiment_name)
    if name in {DEFAULT, SHOWN_DEFAULT}:
        return {"experiment": shown_experiment(await found.default(ctx))}
    try:
        return {"experiment": shown_experiment(await found.named(ctx, name))}
    except NotFound:
        raise NotFound(f"Could not find experiment with name '{name}'", where="experiment_name") from None


@call("POST", "/mlflow/experiments/update", RenamedExperiment, allow=Permission.DEVELOP)
async def update(ctx: Context, asked: RenamedExperiment) -> None:
    """Rename an experiment."""
    found = await experiment_of(ctx, asked.experiment_id)
    try:
        await ctx.get(Runs).experiments.update(ctx, found.key, UpdateExperiment(name=_new_name(asked.new_name)))
    except NameTaken:
        raise _taken(asked.new_name) from None


@call("POST", "/mlflow/experiments/delete", OneExperiment, allow=Permission.DEVELOP)
async def delete(ctx: Context, asked: OneExperiment) -> None:
    """Take an experiment and its runs out of lists."""
    found = await experiment_of(ctx, asked.experiment_id)
    if found.stage != "active":
        raise NotFound(f"No active Experiment with id={asked.experiment_id} exists", where="experiment_id")
    await ctx.get(Runs).set_experiment_stage(ctx, found.key, "deleted")


@call("POST", "/mlflow/experiments/restore", OneExperiment, allow=Permission.DEVELOP)
async def restore(ctx: Context, asked: OneExperiment) -> None:
    """Put a deleted experiment and its runs back into lists."""
    found = await experiment_of(ctx, asked.experiment_id)
    if found.stage == "active":
        raise NotFound(f"No deleted Experiment with id={asked.experiment_id} exists", where="experiment_id")
    await ctx.get(Runs).set_experiment_stage(ctx, found.key, "active")


@call("POST", "/mlflow/experiments/set-experiment-tag", ExperimentTag, allow=Permission.DEVELOP)
async def set_tag(ctx: Context, asked: ExperimentTag) -> None:
    """Set a tag of an experiment."""
    await _tagged(ctx, asked, {key(asked.key): _tag_value(asked.value)})


@call("POST", "/mlflow/experiments/delete-experiment-tag", ExperimentTag, allow=Permission.DEVELOP)
async def delete_tag(ctx: Context, asked: ExperimentTag) -> None:
    """Take a tag of an experiment away."""
    found = await experiment_of(ctx, asked.experiment_id)
    if needed("key", asked.key) not in found.tags:
        raise NotFound(f"No tag with name: {asked.key} in experiment with id {asked.experiment_id}", where="key")
    await _tagged(ctx, asked, {asked.key: None})


async def _tagged(ctx: Context, asked: OneExperiment, tags: dict[str, str | None]) -> None:
    found = await experiment_of(ctx, asked.experiment_id)
    if found.stage != "active":
        raise BadInput(
            f"The experiment {asked.experiment_id} must be in the 'active' state. Current state is {found.stage}.",
            where="experiment_id",
        )
    await ctx.get(Runs).experiments.update(ctx, found.key, UpdateExperiment(tags=tags))


def _tag_value(text: str) -> str:
    return value(text, MAX_EXPERIMENT_TAG, "value", truncate=False)


def _new_name(name: str) -> str:
    if not name.strip() or "\0" in name:
        raise BadInput(f"Invalid experiment name: '{name[:80]}'", where="name")
    if len(name) > MAX_EXPERIMENT_NAME:
        raise BadInput(f"'name' exceeds the maximum length of {MAX_EXPERIMENT_NAME} characters", where="name")
    return DEFAULT if name == SHOWN_DEFAULT else name


def _taken(name: str) -> NameTaken:
    return NameTaken(
        f"Experiment '{name}' already exists.", where="name", todo="It may have been deleted: then restore it."
    )
