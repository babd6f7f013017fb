"""Runs and experiments found by MLflow's ids, and shown in its form.

The project's experiment `default` is MLflow's `Default` with the id 0.
"""

import contextlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gimbal.axis.runs.candidates.service import linked_models
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.experiments.model import DEFAULT, DEFAULT_ID, SHOWN_DEFAULT, Experiment
from gimbal.axis.runs.filling import values_of
from gimbal.axis.runs.inputs import DatasetInput, inputs_of
from gimbal.axis.runs.model import MetricValue, to_wire
from gimbal.axis.runs.points.model import Point
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.faces.mlflow.names import hex_of, invalid, ms_of
from gimbal.faces.mlflow.wire import needed
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}", re.ASCII)
_AT_ONCE = 500
"""Runs that are made whole with one question of each kind."""

STATUS = {
    "running": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
    "dead": "KILLED",
}


class ShownPoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A point of a metric in MLflow's form."""

    key: str
    value: MetricValue
    timestamp: int
    step: int
    run_id: str = ""
    """Where points of several runs stand together."""


class Named(Protocol):
    """A request about one run, which may have its id in either field."""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        ...

    @property
    def run_uuid(self) -> str:
        """The same, by its old name."""
        ...


async def run_of(ctx: Context, asked: Named) -> RunRow:
    """Return the run that a request names, also a deleted one; raise NotFound."""
    return await run_row(ctx, needed("run_id", asked.run_id or asked.run_uuid))


async def active_run(ctx: Context, asked: Named) -> RunRow:
    """Return the run that a request would change; raise BadInput for a deleted one."""
    row = await run_of(ctx, asked)
    must_be_active(row)
    return row


async def run_row(ctx: Context, run_id: str) -> RunRow:
    """Return a run by MLflow's id or ours; raise BadInput for what can be none, NotFound for what is none."""
    if not _RUN_ID.fullmatch(run_id):
        raise invalid("run_id", run_id, "it is not the id of a run.")
    try:
        canonical = str(uuid.UUID(run_id))
    except ValueError:
        raise _no_run(run_id) from None
    try:
        return await ctx.get(Runs).desk.of(ctx, canonical)
    except NotFound:
        raise _no_run(run_id) from None


def must_be_active(row: RunRow) -> None:
    """Raise BadInput for a deleted run, in MLflow's words."""
    if row.stage != "active":
        raise BadInput(
            f"The run {hex_of(row.id)} must be in the 'active' state. Current state is {row.stage}.",
            where="run_id",
            kept="nothing",
        )


async def experiment_of(ctx: Context, text: str, *, now: bool = True) -> Experiment:
    """Return an experiment by MLflow's id, or unless `now` as it was a moment ago.

    Raise BadInput for what is no number, NotFound for what is none.
    """
    needed("experiment_id", text)
    experiments = ctx.get(Runs).experiments
    if text == DEFAULT_ID:
        if not now:
            with contextlib.suppress(NotFound):
                return await experiments.near(ctx, DEFAULT)
        return await experiments.default(ctx)
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise BadInput(
            f"Invalid experiment ID '{text[:80]}'. Experiment ID must be a valid integer.", where="experiment_id"
        )
    try:
        return await (experiments.of_key if now else experiments.near)(ctx, int(text))
    except NotFound:
        raise NotFound(f"No Experiment with id={text} exists", where="experiment_id") from None


async def active_experiment(ctx: Context, text: str) -> int:
    """Return the number of the experiment to which something new shall belong, 0 for the default one.

    Raise BadInput for a deleted one, and what `experiment_of` raises.
    """
    found = await experiment_of(ctx, text)
    if found.stage != "active":
        raise BadInput(
            f"The experiment {text} must be in the 'active' state. Current state is {found.stage}.",
            where="experiment_id",
            kept="nothing",
        )
    return 0 if found.name == DEFAULT else found.key


class MlflowExperiments:
    """The experiments that senders of spans name by MLflow's ids."""

    async def key_of(self, ctx: Context, text: str) -> int:
        """Return the number of an experiment, 0 for the default one; raise BadInput or NotFound."""
        found = await experiment_of(ctx, text)
        return 0 if found.name == DEFAULT else found.key


def experiment_id(key: int, name: str) -> str:
    """Return the id of an experiment as MLflow knows it."""
    return DEFAULT_ID if name == DEFAULT else str(key)


def shown_experiment(one: Experiment) -> dict[str, Any]:
    """Return an experiment in MLflow's form."""
    shown = experiment_id(one.key, one.name)
    return {
        "experiment_id": shown,
        "name": SHOWN_DEFAULT if one.name == DEFAULT else one.name,
        "artifact_location": one.artifact_location or f"mlflow-artifacts:/{shown}",
        "lifecycle_stage": one.stage,
        "creation_time": ms_of(one.created_at),
        "last_update_time": ms_of(one.updated_at),
        "tags": pairs(one.tags),
        "workspace": one.project,
    }


def pairs(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return names and values as MLflow writes them; what is no text is shown as JSON."""
    return [
        {"key": name, "value": value if isinstance(value, str) else msgspec.json.encode(value).decode()}
        for name, value in values.items()
    ]


def artifact_root(row: RunRow, location: str = "") -> str:
    """Return where the files of a run are; in `location` where its experiment says so."""
    shown = experiment_id(row.experiment_key, row.experiment)
    return f"{location.rstrip('/') or f'mlflow-artifacts:/{shown}'}/{hex_of(row.id)}/artifacts"


async def shown_runs(ctx: Context, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Return runs in MLflow's form, with all that was logged."""
    catalog = ctx.get(Catalog)
    locations = await ctx.get(Runs).experiments.locations({row.experiment_key for row in rows})
    shown: list[dict[str, Any]] = []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        keys = [row.key for row in part]
        newest = await ctx.get(Points).latest(part)
        async with catalog.read() as tx:
            params, tags = await values_of(tx, keys)
            datasets, models = await inputs_of(tx, keys), await linked_models(tx, keys)
        for row in part:
            points = newest.get(row.id, {})
            data = {
                "metrics": [shown_point(name, points[name]) for name in sorted(points)],
                "params": pairs(params.get(row.key, {})),
                "tags": pairs(tags.get(row.key, {})),
            }
            read = [shown_input(one) for one in datasets.get(row.key, [])]
            root = artifact_root(row, locations.get(row.experiment_key, ""))
            of_run = models.get(row.key, {})
            inputs = {
                "dataset_inputs": read,
                "model_inputs": [{"model_id": model_id} for model_id, _ in of_run.get("input", [])],
            }
            made = [{"model_id": model_id, "step": step} for model_id, step in of_run.get("output", [])]
            shown.append(
                {"info": shown_info(row, root), "data": data, "inputs": inputs, "outputs": {"model_outputs": made}}
            )
    return shown


async def shown_row(ctx: Context, row: RunRow) -> dict[str, Any]:
    """Return what MLflow calls the info of a run."""
    experiment = await ctx.get(Runs).experiments.near(ctx, row.experiment_key)
    return shown_info(row, artifact_root(row, experiment.artifact_location))


def shown_info(row: RunRow, root: str) -> dict[str, Any]:
    """Return what MLflow calls the info of a run whose files are at `root`."""
    found: dict[str, Any] = {
        "run_id": hex_of(row.id),
        "run_uuid": hex_of(row.id),
        "run_name": row.name,
        "experiment_id": experiment_id(row.experiment_key, row.experiment),
        "user_id": row.user,
        "status": STATUS[row.status],
        "start_time": ms_of(row.started_at),
        "artifact_uri": root,
        "lifecycle_stage": row.stage,
    }
    return found if row.ended_at is None else found | {"end_time": ms_of(row.ended_at)}


def shown_input(one: DatasetInput) -> dict[str, Any]:
    """Return a dataset that a run read in MLflow's form."""
    described = {name: value for name, value in msgspec.structs.asdict(one.dataset).items() if value}
    return {"tags": pairs(one.tags), "dataset": described}


def shown_point(name: str, point: Point) -> ShownPoint:
    """Return a point of a metric in MLflow's form."""
    return ShownPoint(key=name, value=to_wire(point.value), timestamp=point.at_us // 1000, step=point.step)


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"Run with id={run_id} not found", where="run_id")
