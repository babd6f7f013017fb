"""MLflow's calls on logged models: made, finished, tagged, searched, and what runs read and made of them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.runs.candidates.model import LoggedModel, ModelMetric, ModelOrder, ModelQuery, NewModel, Status
from gimbal.axis.runs.candidates.search import MODELS
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.model import Artifact
from gimbal.faces.mlflow.names import Int64, KeyValue, hex_of, ms_of
from gimbal.faces.mlflow.paging import limited
from gimbal.faces.mlflow.reading import active_run, experiment_id, experiment_of, pairs, run_row
from gimbal.faces.mlflow.runs import OneRun
from gimbal.faces.mlflow.shown import own_clauses, shown_run_id, tags_of
from gimbal.faces.mlflow.sources import model_root
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.wire import needed
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause, parse

STATUS: dict[str, Status] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_SHOWN = {ours: theirs for theirs, ours in STATUS.items()}
_NUMBERED: dict[str, Status] = {"1": "pending", "2": "ready", "3": "failed"}
_SHORT: dict[str, Status] = {"PENDING": "pending", "READY": "ready", "FAILED": "failed"}
_MOST_PARAMS = 100
_MOST_LINKS = 1000
_USUAL, _MOST = 100, 1000
_ONE = "/mlflow/logged-models/{model_id}"


class NewLoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model to make."""

    experiment_id: str = ""
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class OneModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model by its id."""

    model_id: str = ""
    allow_deleted: str | bool = False


class FinishedModel(OneModel, frozen=True, kw_only=True):
    """How its upload ended."""

    status: str | int = ""


class ModelTags(OneModel, frozen=True, kw_only=True):
    """Tags of it."""

    tags: list[KeyValue] = []


class ModelTag(OneModel, frozen=True, kw_only=True):
    """One tag of it."""

    tag_key: str = ""


class ModelParams(OneModel, frozen=True, kw_only=True):
    """Parameters of it."""

    params: list[KeyValue] = []


class ModelFolder(OneModel, frozen=True, kw_only=True):
    """A folder of its files."""

    artifact_directory_path: str = ""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """Where metrics were measured."""

    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(Dataset, frozen=True, kw_only=True):
    """One field to sort by."""

    field_name: str = ""
    ascending: bool = True


class SearchModels(msgspec.Struct, frozen=True, kw_only=True):
    """Which logged models, in which order, and which page."""

    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[Dataset] = []
    max_results: int | None = None
    order_by: list[OrderBy] = []
    page_token: str = ""


class ModelOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a run made."""

    model_id: str = ""
    step: Int64 = 0


class Outputs(OneRun, frozen=True, kw_only=True):
    """What a run made."""

    models: list[ModelOutput] = msgspec.field(default_factory=list[ModelOutput])


async def shown_model(ctx: Context, one: LoggedModel) -> dict[str, Any]:
    """Return a logged model in MLflow's form."""
    shown = experiment_id(one.experiment_key, one.experiment)
    return {
        "info": {
            "model_id": one.id,
            "experiment_id": shown,
            "name": one.name,
            "artifact_uri": await model_root(ctx, one),
            "creation_timestamp_ms": ms_of(one.created_at),
            "last_updated_timestamp_ms": ms_of(one.updated_at),
            "model_type": one.model_type,
            "source_run_id": shown_run_id(one.source_run_id or ""),
            "status": _SHOWN[one.status],
            "tags": pairs(one.tags),
        },
        "data": {"params": pairs(one.params), "metrics": [_shown_metric(one.id, metric) for metric in one.metrics]},
    }


@call("POST", "/mlflow/logged-models", NewLoggedModel, allow=Permission.DEVELOP)
async def create(ctx: Context, asked: NewLoggedModel) -> dict[str, Any]:
    """Make a logged model whose files will come."""
    experiment = await experiment_of(ctx, asked.experiment_id)
    run = await run_row(ctx, asked.source_run_id) if asked.source_run_id else None
    new = NewModel(
        experiment_key=experiment.key,
        name=asked.name,
        model_type=asked.model_type,
        source_run_id=run.id if run is not None else None,
        params=_params(asked.params),
        tags=tags_of(asked.tags),
    )
    return {"model": await shown_model(ctx, await ctx.get(LoggedModels).create(ctx, new))}


@call("GET", _ONE, OneModel, allow=Permission.VIEW)
async def get(ctx: Context, asked: OneModel) -> dict[str, Any]:
    """Show a logged model."""
    deleted = str(asked.allow_deleted).lower() == "true"
    found = await ctx.get(LoggedModels).get(ctx, needed("model_id", asked.model_id), deleted=deleted)
    return {"model": await shown_model(ctx, found)}


@call("PATCH", _ONE, FinishedModel, allow=Permission.DEVELOP)
async def finish(ctx: Context, asked: FinishedModel) -> dict[str, Any]:
    """Say that the files of a logged model are there, or did not come."""
    text = str(asked.status)
    status = STATUS.get(text) or _NUMBERED.get(text)
    if status is None:
        raise BadInput(f"Invalid status '{text[:80]}'.", where="status", todo=f"Use one of {', '.join(STATUS)}.")
    return {"model": await shown_model(ctx, await ctx.get(LoggedModels).finish(ctx, asked.model_id, status))}


@call("DELETE", _ONE, OneModel, allow=Permission.DEVELOP)
async def delete(ctx: Context, asked: OneModel) -> None:
    """Take a logged model out of searches."""
    await ctx.get(LoggedModels).delete(ctx, asked.model_id)


@call("PATCH", _ONE + "/tags", ModelTags, allow=Permission.DEVELOP)
async def set_tags(ctx: Context, asked: ModelTags) -> None:
    """Set tags of a logged model."""
    await ctx.get(LoggedModels).put_tags(ctx, asked.model_id, tags_of(asked.tags))


@call("DELETE", _ONE + "/tags/{tag_key}", ModelTag, allow=Permission.DEVELOP)
async def delete_tag(ctx: Context, asked: ModelTag) -> None:
    """Take a tag of a logged model away."""
    await ctx.get(LoggedModels).remove_tag(ctx, asked.model_id, asked.tag_key)


@call("POST", _ONE + "/params", ModelParams, allow=Permission.DEVELOP)
async def put_params(ctx: Context, asked: ModelParams) -> None:
    """Add parameters of a logged model."""
    await ctx.get(LoggedModels).put_params(ctx, asked.model_id, _params(asked.params))


@call("GET", _ONE + "/artifacts/directories", ModelFolder, allow=Permission.VIEW)
async def folder(ctx: Context, asked: ModelFolder) -> dict[str, Any]:
    """List the files of a logged model in one folder."""
    found = await ctx.get(LoggedModels).get(ctx, asked.model_id)
    below = asked.artifact_directory_path.strip("/")
    if "\\" in below or any(part in {"", ".", ".."} for part in below.split("/") if below):
        raise BadInput("Invalid path", where="artifact_directory_path")
    files = await ctx.get(Artifacts).listing(Owner("model", found.id))
    return {"root_uri": await model_root(ctx, found), "files": _folder(files, below)}


@call("POST", "/mlflow/logged-models/search", SearchModels, allow=Permission.VIEW)
async def search(ctx: Context, asked: SearchModels) -> dict[str, Any]:
    """List logged models of experiments."""
    limit = limited(asked.max_results, _USUAL, _MOST)
    if not asked.experiment_ids:
        raise BadInput("Missing value for required parameter 'experiment_ids'.", where="experiment_ids")
    if any(not one.dataset_name for one in asked.datasets):
        raise BadInput("`dataset_name` in the `datasets` clause must be specified.", where="datasets")
    _, clauses = own_clauses(parse(asked.filter, MODELS))
    query = ModelQuery(
        experiments=[(await experiment_of(ctx, one)).key for one in asked.experiment_ids],
        clauses=[_status(one) for one in clauses],
        datasets=[(one.dataset_name, one.dataset_digest) for one in asked.datasets],
        order=[_order(one) for one in asked.order_by],
        limit=limit,
        cursor=asked.page_token or None,
    )
    page = await ctx.get(LoggedModels).search(ctx, query)
    shown: dict[str, Any] = {"models": [await shown_model(ctx, one) for one in page.items]}
    return shown | ({"next_page_token": page.next} if page.next else {})


@call("POST", "/mlflow/runs/outputs", Outputs, allow=Permission.DEVELOP)
async def outputs(ctx: Context, asked: Outputs) -> None:
    """Note which models a run made."""
    if len(asked.models) > _MOST_LINKS:
        raise BadInput(f"At most {_MOST_LINKS} models can be logged at once.", where="models", kept="nothing")
    row = await active_run(ctx, asked)
    await ctx.get(LoggedModels).link(ctx, row, "output", [(one.model_id, one.step) for one in asked.models])


def _params(given: Sequence[KeyValue]) -> dict[str, str]:
    if len(given) > _MOST_PARAMS:
        raise BadInput(
            f"A request can have at most {_MOST_PARAMS} params. Got {len(given)} params.",
            where="params",
            kept="nothing",
        )
    return tags_of(given)


def _shown_metric(model_id: str, metric: ModelMetric) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": metric.name,
        "value": metric.value,
        "timestamp": ms_of(metric.at),
        "step": metric.step,
        "run_id": hex_of(metric.run_id),
        "model_id": model_id,
    }
    named = {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
    return found | {name: value for name, value in named.items() if value}


def _folder(files: Sequence[Artifact], below: str) -> list[dict[str, Any]]:
    """Return the files and folders right below a folder; folders are there because files are in them."""
    prefix = f"{below}/" if below else ""
    found: dict[str, dict[str, Any]] = {}
    for one in files:
        if one.path.startswith(prefix):
            name, deeper, _ = one.path.removeprefix(prefix).partition("/")
            path = prefix + name
            found[path] = {"path": path, "is_dir": True} if deeper else {
                "path": path, "is_dir": False, "file_size": one.size,
            }  # fmt: skip
    return list(found.values())


def _status(clause: Clause) -> Clause:
    """Return a condition on the status as we keep it."""
    if clause.entity != "attribute" or clause.key != "status":
        return clause
    known = STATUS | _SHORT
    value: Any = clause.value
    ours = tuple(known.get(one, one) for one in value) if isinstance(value, tuple) else known.get(value, value)
    return msgspec.structs.replace(clause, value=ours)


def _order(one: OrderBy) -> ModelOrder:
    key, metric = one.field_name.strip(), False
    if "." in key:
        entity, _, key = key.partition(".")
        metric = True
        if entity != "metrics" or not key:
            raise BadInput(
                f"Invalid order by field name: {one.field_name[:200]}, only `metrics.<name>` is allowed.",
                where="order_by",
            )
    if one.dataset_digest and not one.dataset_name:
        raise BadInput("`dataset_digest` can only be specified if `dataset_name` is also specified.", where="order_by")
    if one.dataset_name and not metric:
        raise BadInput("`dataset_name` can only be specified with a metric.", where="order_by")
    return ModelOrder(
        key=key.strip("`") if metric else MODELS.keys.get(key, key),
        metric=metric,
        descending=not one.ascending,
        dataset_name=one.dataset_name,
        dataset_digest=one.dataset_digest,
    )
