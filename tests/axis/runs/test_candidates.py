"""Logged models on SQLite and on PostgreSQL: parameters stand, the newest point of a metric stays, searches agree."""

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest

from gimbal.axis.runs.candidates.model import ModelMetric, ModelOrder, ModelQuery, NewModel
from gimbal.axis.runs.candidates.service import LoggedModels
from gimbal.axis.runs.experiments.model import CreateExperiment
from gimbal.axis.runs.experiments.service import Experiments
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, Conflict, NotFound, NotReady
from gimbal.kernel.filters import Clause


@pytest.fixture
def experiments(axis: Services) -> Experiments:
    """Give the experiments of an installation."""
    return Experiments(axis.get(Catalog))


@pytest.fixture
def models(axis: Services, experiments: Experiments) -> LoggedModels:
    """Give its logged models."""
    return LoggedModels(axis.get(Catalog), experiments)


@pytest.fixture
async def experiment(experiments: Experiments, ctx: Context) -> int:
    """Give the number of an experiment."""
    return (await experiments.create(ctx, CreateExperiment(name="delay"))).key


def point(ctx: Context, name: str, value: float, step: int = 0, *, dataset: str = "", later: int = 0) -> ModelMetric:
    """Return a point of a metric."""
    at = ctx.now() + timedelta(seconds=later)
    return ModelMetric(name=name, value=value, step=step, at=at, run_id="r", dataset_name=dataset)


async def found(models: LoggedModels, ctx: Context, experiment: int, *clauses: Clause, **more: Any) -> list[str]:
    """Return the names that a search finds."""
    query = ModelQuery(experiments=[experiment], clauses=list(clauses), **more)
    return [one.name for one in (await models.search(ctx, query)).items]


async def test_parameters_stand_and_tags_may_change(models: LoggedModels, ctx: Context, experiment: int) -> None:
    """Of a request with one parameter that would change nothing is kept."""
    made = await models.create(ctx, NewModel(experiment_key=experiment, params={"a": "1"}, tags={"t": "1"}))
    assert made.name
    assert made.status == "pending"
    await models.put_params(ctx, made.id, {"a": "1", "b": "2"})
    with pytest.raises(Conflict):
        await models.put_params(ctx, made.id, {"A": "0", "a": "2"})
    await models.put_tags(ctx, made.id, {"t": "2"})
    await models.finish(ctx, made.id, "ready")
    seen = await models.get(ctx, made.id)
    assert (seen.params, seen.tags, seen.status) == ({"a": "1", "b": "2"}, {"t": "2"}, "ready")
    with pytest.raises(NotFound):
        await models.remove_tag(ctx, made.id, "never")


async def test_the_newest_point_stays_whatever_comes_when(models: LoggedModels, ctx: Context, experiment: int) -> None:
    """By step, then time; each dataset apart; NaN and infinities are kept."""
    made = await models.create(ctx, NewModel(experiment_key=experiment))
    points = [
        point(ctx, "auc", 0.3, 3), point(ctx, "auc", 0.1, 1), point(ctx, "auc", 0.35, 3, later=1),
        point(ctx, "auc", 0.9, 1, dataset="test"), point(ctx, "nan", math.nan), point(ctx, "up", math.inf),
    ]  # fmt: skip
    await asyncio.gather(*(models.measured(ctx, {made.id: [one]}) for one in points))
    seen = {(one.name, one.dataset_name): one.value for one in (await models.get(ctx, made.id)).metrics}
    assert seen == {("auc", ""): 0.35, ("auc", "test"): 0.9, ("nan", ""): "NaN", ("up", ""): "Infinity"}


async def test_a_search_by_metrics_may_mean_one_dataset(models: LoggedModels, ctx: Context, experiment: int) -> None:
    """Those without the metric come last, those with NaN before them, whichever way it is sorted."""
    values = {"low": 0.1, "high": 0.9, "none": None, "nan": math.nan}
    for name, value in values.items():
        made = await models.create(ctx, NewModel(experiment_key=experiment, name=name))
        if value is not None:
            await models.measured(
                ctx, {made.id: [point(ctx, "auc", value), point(ctx, "auc", 1 - value, dataset="test")]}
            )
    above = Clause(entity="metric", key="auc", op=">", value=0.5)
    assert await found(models, ctx, experiment, above, datasets=[("test", "")]) == ["low"]
    assert set(await found(models, ctx, experiment, above)) == {"low", "high"}
    assert set(await found(models, ctx, experiment, datasets=[("test", "")])) == {"low", "high", "nan"}
    assert await found(models, ctx, experiment, datasets=[("test", "other")]) == []
    by = ModelOrder(key="auc", metric=True, dataset_name="test")
    assert await found(models, ctx, experiment, order=[by]) == ["high", "low", "nan", "none"]
    by = ModelOrder(key="auc", metric=True, dataset_name="test", descending=True)
    assert await found(models, ctx, experiment, order=[by]) == ["low", "high", "nan", "none"]
    with pytest.raises(BadInput):
        await found(models, ctx, experiment, order=[by, by])


async def test_what_is_deleted_or_elsewhere_is_not_found(
    models: LoggedModels, experiments: Experiments, ctx: Context, experiment: int
) -> None:
    """Nor made in an experiment that was deleted, or is another project's."""
    made = await models.create(ctx, NewModel(experiment_key=experiment, name="a"))
    there = ctx.within("flights")
    with pytest.raises(NotFound):
        await models.get(there, made.id)
    with pytest.raises(NotFound):
        await models.create(there, NewModel(experiment_key=experiment))
    assert await found(models, there, experiment) == []
    await models.delete(ctx, made.id)
    with pytest.raises(NotFound):
        await models.get(ctx, made.id)
    assert (await models.get(ctx, made.id, deleted=True)).stage == "deleted"
    assert await found(models, ctx, experiment) == []
    await experiments.set_stage(ctx, experiment, "deleted")
    with pytest.raises(NotReady):
        await models.create(ctx, NewModel(experiment_key=experiment))
