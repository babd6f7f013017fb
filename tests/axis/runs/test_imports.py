"""Whole runs into the stores: twice is once, others' runs are not touched, and fingerprints tell what is really kept."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from gimbal.axis.runs.candidates.service import LoggedModels, linked_models
from gimbal.axis.runs.imports import digests
from gimbal.axis.runs.imports.fingerprints import fingerprints
from gimbal.axis.runs.imports.model import (
    DIGEST_TAG,
    ORIGIN_TAG,
    AskFingerprints,
    ImportedDataset,
    ImportedExperiment,
    ImportedModel,
    ImportedModelMetric,
    ImportedRun,
    ImportRuns,
)
from gimbal.axis.runs.imports.service import import_runs
from gimbal.axis.runs.model import CreateRun, MetricColumns
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import TooLarge
from gimbal.kernel.ids import new_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
DATA = ImportedDataset(name="flights", digest="d1", tags={"context": "train"})


@pytest.fixture
def bringing(runs: Runs, axis: Services) -> Runs:
    """Give runs with what imports stand on beside them."""
    axis.register(Points, Points(axis.get(Columns), axis.get(Catalog)))
    axis.register(LoggedModels, LoggedModels(axis.get(Catalog), runs.experiments))
    return runs


def columns(values: list[object], first: int = 0) -> MetricColumns:
    count = len(values)
    steps = list(range(first, first + count))
    return MetricColumns(names=["loss"], index=[0] * count, steps=steps, times=[7] * count, values=values)  # type: ignore[arg-type]


def run(run_id: str, **changed: object) -> ImportedRun:
    usual: dict[str, object] = {
        "id": run_id, "origin": f"test:{run_id}", "name": "one", "experiment": "old", "status": "finished",
        "started_at": AT, "ended_at": AT, "user": "ann", "params": {"lr": 0.1}, "tags": {"t": "1"},
        "columns": columns([1.0, "NaN", "-Infinity"]), "datasets": [DATA],
    }  # fmt: skip
    return ImportedRun(**usual | changed)  # type: ignore[arg-type]


async def test_the_same_twice_is_once(bringing: Runs, ctx: Context) -> None:
    """Ids, times, state and stage are those of the sender; a second time adds nothing, and marks stay."""
    first, second = new_id(), new_id()
    theirs = {"t": "1", ORIGIN_TAG: "another installation", DIGEST_TAG: "of another import"}
    body = ImportRuns(
        runs=[run(first, tags=theirs), run(second, tags=theirs, stage="deleted", parent_id=first)],
        done={first: "whole"},
    )
    outcomes = [[one.outcome for one in await import_runs(ctx, body)] for _ in range(2)]

    assert outcomes == [["created", "created"], ["added", "added"]]
    shown = await bringing.get(ctx, first)
    assert (shown.started_at, shown.ended_at, shown.user, shown.status) == (AT, AT, "ann", "finished")
    assert (await bringing.get(ctx, second)).stage == "deleted"
    assert (await bringing.get(ctx, second)).parent_id == first
    assert len((await bringing.metric(ctx, first, "loss")).items) == 3
    marks = {one.id: one.digest for one in await fingerprints(ctx, AskFingerprints(ids=[first, second, new_id()]))}
    assert marks == {first: "whole", second: ""}
    assert (await bringing.get(ctx, second)).tags == {"t": "1", ORIGIN_TAG: f"test:{second}"}


async def test_fingerprints_are_of_what_is_kept(bringing: Runs, ctx: Context) -> None:
    """They equal those of the sender's data, in whatever order and however often its points came, and change with them."""
    one = run(new_id())
    await import_runs(ctx, ImportRuns(runs=[one]))
    await import_runs(ctx, ImportRuns(runs=[run(one.id, params={}, tags={}, columns=columns([float("-inf")], 2))]))
    asked = AskFingerprints(ids=[one.id], content=True)
    (kept,) = await fingerprints(ctx, asked)

    values = np.array([np.nan, -np.inf, 1.0, 1.0])
    index, steps = np.zeros(4, np.int64), np.array([1, 2, 0, 0])
    (points,) = digests.of_points(1, index, ["loss"], index, steps, np.full(4, 7), values)
    assert kept.aspects == {
        "run": digests.of_attributes(one),
        "params": digests.of_params(one.params),
        "tags": digests.of_tags(one.tags),
        "points": points,
        "datasets": digests.of_datasets([DATA]),
        "files": digests.of_files([]),
    }
    assert points.count == 3
    await import_runs(ctx, ImportRuns(runs=[run(one.id, columns=columns([0.5], 9))]))
    (changed,) = await fingerprints(ctx, asked)
    assert changed.aspects["points"].count == 4
    assert changed.aspects["points"].digest != points.digest


async def test_one_refused_leaves_the_others(bringing: Runs, ctx: Context) -> None:
    """A run tracked here, one of another origin, a changed parameter, a bad id: each with its reason, nothing of them."""
    mine = await bringing.create(ctx, CreateRun(name="mine"))
    there, good = new_id(), new_id()
    await import_runs(ctx, ImportRuns(runs=[run(there)]))
    given = [
        run(mine.id),
        run(there, origin="other:1"),
        run(good),
        run("no-id"),
        run(new_id(), params={"p": "x" * 70_000}),
        run(new_id(), columns=MetricColumns(names=["m"], index=[0], steps=[], times=[1], values=[1.0])),
    ]
    found = {one.id: one for one in await import_runs(ctx, ImportRuns(runs=given))}
    (changed,) = await import_runs(ctx, ImportRuns(runs=[run(there, params={"lr": 0.2}, tags={"t": "2"})]))

    assert [found[one.id].outcome for one in given] == [
        "refused",
        "refused",
        "created",
        "refused",
        "refused",
        "refused",
    ]
    assert "was not imported" in found[mine.id].problem
    assert changed.outcome == "refused"
    assert (await bringing.get(ctx, there)).tags["t"] == "1"
    assert (await bringing.get(ctx, mine.id)).name == "mine"


async def test_too_many_points_are_nothing(bringing: Runs, ctx: Context) -> None:
    """The limit of a request holds for all its runs together."""
    with pytest.raises(TooLarge):
        await import_runs(ctx, ImportRuns(runs=[run(new_id(), columns=columns([1.0] * 26_000)) for _ in range(2)]))


async def test_experiments_keep_what_they_were(bringing: Runs, ctx: Context) -> None:
    """A deleted one takes runs and stays deleted; one that is here keeps its own tags and gets the others."""
    gone = ImportedExperiment(name="gone", stage="deleted", created_at=AT, tags={"a": "1"})
    await import_runs(ctx, ImportRuns(experiments=[gone], runs=[run(new_id(), experiment="gone", stage="deleted")]))
    more = ImportedExperiment(name="gone", tags={"a": "2", "b": "3"})
    await import_runs(ctx, ImportRuns(experiments=[more]))

    found = await bringing.experiments.named(ctx, "gone")
    assert (found.stage, found.created_at, found.tags) == ("deleted", AT, {"a": "1", "b": "3"})


async def test_logged_models_keep_their_ids(bringing: Runs, axis: Services, ctx: Context) -> None:
    """A model is made once, with its links to runs; one that cannot be is refused."""
    one, model_id = run(new_id()), "m-" + "0a" * 16
    await import_runs(ctx, ImportRuns(runs=[one]))
    model = ImportedModel(
        id=model_id, name="net", experiment="old", created_at=AT, updated_at=AT, params={"depth": "3"},
        source_run_id=one.id, made_by={one.id: 4, new_id(): 1},
    )  # fmt: skip
    score = ImportedModelMetric(name="score", value=0.5, at=AT, run_id=one.id)
    bad = ImportedModel(id="m-x", name="net", experiment="old", created_at=AT, updated_at=AT)
    outcomes = [[each.outcome for each in await import_runs(ctx, ImportRuns(models=[model, bad]))] for _ in range(2)]

    assert outcomes == [["created", "refused"], ["added", "refused"]]
    kept = await axis.get(LoggedModels).get(ctx, model_id)
    assert (kept.name, kept.params, kept.source_run_id, kept.created_at) == ("net", {"depth": "3"}, one.id, AT)
    # As after an import that was killed between the model and its metrics.
    await import_runs(ctx, ImportRuns(models=[msgspec.structs.replace(model, metrics=[score])]))
    assert [point.value for point in (await axis.get(LoggedModels).get(ctx, model_id)).metrics] == [0.5]
    row = await bringing.desk.of(ctx, one.id)
    async with axis.get(Catalog).read() as tx:
        assert await linked_models(tx, [row.key]) == {row.key: {"output": [(model_id, 4)]}}
