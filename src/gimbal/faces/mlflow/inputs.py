"""MLflow's calls on what runs read and made: datasets, and models in the old form."""

from typing import Any

import msgspec

from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.inputs import DatasetInput, InputDataset, put_inputs, summaries
from gimbal.axis.runs.model import LogRun
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.faces.mlflow.names import KeyValue, invalid, value
from gimbal.faces.mlflow.reading import active_run, experiment_id, experiment_of
from gimbal.faces.mlflow.runs import OneRun
from gimbal.faces.mlflow.table import bare, call
from gimbal.faces.mlflow.wire import encoded, from_json, needed
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, TooLarge
from gimbal.kernel.http import HttpReply, HttpRequest

HISTORY_TAG = "mlflow.log-model.history"
_MOST = 1000
_MOST_EXPERIMENTS = 20
_LONGEST = {"source_type": 500, "name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
_LONGEST_TAG_KEY, _LONGEST_TAG = 255, 500
_FIELDS = frozenset({"artifact_path", "flavors", "utc_time_created", "run_id"})


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as its sender describes it."""

    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that a run read, and what for."""

    dataset: Dataset = Dataset()
    tags: list[KeyValue] = []


class InputModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that a run read."""

    model_id: str = ""


class Inputs(OneRun, frozen=True, kw_only=True):
    """What a run read."""

    datasets: list[Input] = msgspec.field(default_factory=list[Input])
    models: list[InputModel] = msgspec.field(default_factory=list[InputModel])


class OldModel(OneRun, frozen=True, kw_only=True):
    """A model that a run made, as clients before 3.0 tell of it."""

    model_json: str = ""


class Experiments(msgspec.Struct, frozen=True, kw_only=True):
    """Experiments by their ids."""

    experiment_ids: list[str] = []


@call("POST", "/mlflow/runs/log-inputs", Inputs, allow=Permission.DEVELOP)
async def log_inputs(ctx: Context, asked: Inputs) -> None:
    """Keep which datasets a run read."""
    if max(len(asked.datasets), len(asked.models)) > _MOST:
        raise BadInput(f"At most {_MOST} datasets can be logged at once.", where="datasets", kept="nothing")
    told = [_input(one, f"datasets[{at}]") for at, one in enumerate(asked.datasets)]
    row = await active_run(ctx, asked)
    if asked.models:
        await ctx.get(LoggedModels).link(ctx, row, "input", [(one.model_id, 0) for one in asked.models])
    await put_inputs(ctx.get(Catalog), ctx, row, told)


@call("POST", "/mlflow/runs/log-model", OldModel, allow=Permission.DEVELOP)
async def log_model(ctx: Context, asked: OldModel) -> None:
    """Add a model to the list that the run has in a tag."""
    try:
        model = msgspec.json.decode(needed("model_json", asked.model_json), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise BadInput("Malformed model info: it is not a valid JSON object.", where="model_json") from None
    if missing := sorted(_FIELDS - model.keys()):
        raise BadInput(f"Model json is missing mandatory fields: {missing}", where="model_json")
    row = await active_run(ctx, asked)
    found = ctx.get(Runs)
    before = (await found.get(ctx, row.id)).tags.get(HISTORY_TAG, "[]")
    try:
        models = msgspec.json.decode(before, type=list[Any])
    except msgspec.DecodeError:
        models = []
    try:
        await found.log(ctx, row.id, LogRun(tags={HISTORY_TAG: msgspec.json.encode([*models, model]).decode()}))
    except TooLarge as error:
        raise BadInput(error.message, where="model_json", kept="the models before", todo=error.todo) from None


async def _search_datasets(ctx: Context, request: HttpRequest) -> HttpReply:
    """Return the datasets that runs of experiments read."""
    asked = from_json(await request.body.read(), Experiments).experiment_ids
    if not asked:
        raise BadInput("SearchDatasets request must specify at least one experiment_id.", where="experiment_ids")
    if len(asked) > _MOST_EXPERIMENTS:
        raise BadInput(
            f"SearchDatasets request cannot specify more than {_MOST_EXPERIMENTS} experiment_ids. Received {len(asked)}.",
            where="experiment_ids",
        )
    named = {one.key: one.name for one in [await experiment_of(ctx, text) for text in asked]}
    found = [
        {
            "experiment_id": experiment_id(one.experiment_key, named[one.experiment_key]),
            "name": one.name,
            "digest": one.digest,
            **({"context": one.context} if one.context else {}),
        }
        for one in await summaries(ctx.get(Catalog), list(named))
    ]
    return HttpReply(body=encoded({"dataset_summaries": found}))


# The slash is missing in MLflow's own definition, and its clients ask as it is written there.
bare(
    "POST",
    *[
        f"/{base}{slash}mlflow/experiments/search-datasets"
        for base in ("api/2.0", "ajax-api/2.0")
        for slash in ("/", "")
    ],
    allow=Permission.VIEW,
)(_search_datasets)


def _input(one: Input, where: str) -> DatasetInput:
    dataset = one.dataset
    for name, most in _LONGEST.items():
        given = getattr(dataset, name)
        if name in {"name", "digest", "source"}:
            needed(f"{where}.dataset.{name}", given)
        value(given, most, f"{where}.dataset.{name}", truncate=False)
    for tag in one.tags:
        if not 0 < len(tag.key) <= _LONGEST_TAG_KEY or "\0" in tag.key:
            raise invalid(f"{where}.tags.key", tag.key[:300], f"it has 1 to {_LONGEST_TAG_KEY} characters")
        value(tag.value, _LONGEST_TAG, f"{where}.tags.value", truncate=False)
    return DatasetInput(
        dataset=InputDataset(**msgspec.structs.asdict(dataset)), tags={tag.key: tag.value for tag in one.tags}
    )
