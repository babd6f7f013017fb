"""Datasets that runs say they read: described once, used by many runs, told again by experiment."""

import asyncio

from gimbal.axis.runs.inputs import CONTEXT_TAG, DatasetInput, InputDataset, inputs_of, put_inputs, summaries
from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services


def told(name: str, digest: str = "d", context: str = "train", **more: str) -> DatasetInput:
    dataset = InputDataset(name=name, digest=digest, source_type="local", source="s", **more)
    return DatasetInput(dataset=dataset, tags={CONTEXT_TAG: context})


async def test_a_dataset_is_described_once_and_used_by_many(runs: Runs, axis: Services, ctx: Context) -> None:
    """The first description stands; a run has each dataset once, with the last tags that it was told with; other experiments have their own."""
    catalog = axis.get(Catalog)
    made = [await runs.create(ctx, CreateRun(experiment=name)) for name in ("one", "one", "two")]
    first, second, other = [await runs.desk.of(ctx, run.id) for run in made]
    await put_inputs(catalog, ctx, first, [told("a", profile="first"), told("b", "x"), told("b", "y")])
    await put_inputs(catalog, ctx, second, [told("a", profile="second", context="test")])
    await put_inputs(catalog, ctx, second, [told("a", context="eval")])
    await put_inputs(catalog, ctx, other, [told("a", profile="third")])
    await put_inputs(catalog, ctx, other, [])
    await put_inputs(catalog, ctx, second, [DatasetInput(dataset=told("a").dataset)])

    async with catalog.read() as tx:
        found = await inputs_of(tx, [first.key, second.key, other.key, 10**9])
    assert [(one.dataset.name, one.dataset.digest) for one in found[first.key]] == [("a", "d"), ("b", "x"), ("b", "y")]
    assert [(one.dataset.profile, one.tags[CONTEXT_TAG]) for one in found[second.key]] == [("first", "eval")]
    assert [one.dataset.profile for one in found[other.key]] == ["third"]
    in_one = await summaries(catalog, [first.experiment_key])
    assert [(one.name, one.digest, one.context) for one in in_one] == [
        ("b", "y", "train"),
        ("b", "x", "train"),
        ("a", "d", "eval"),
        ("a", "d", "train"),
    ]
    assert {one.experiment_key for one in await summaries(catalog, [other.experiment_key])} == {other.experiment_key}
    assert await summaries(catalog, []) == []


async def test_runs_that_tell_of_the_same_at_once(runs: Runs, axis: Services, ctx: Context) -> None:
    """Nobody fails, and nobody's dataset is lost."""
    catalog = axis.get(Catalog)
    rows = [await runs.desk.of(ctx, (await runs.create(ctx, CreateRun(experiment="many"))).id) for _ in range(6)]
    names = [f"n{at}" for at in range(5)]
    ways = [names, names[::-1]]
    await asyncio.gather(
        *[put_inputs(catalog, ctx, row, [told(name) for name in ways[at % 2]]) for at, row in enumerate(rows)]
    )

    async with catalog.read() as tx:
        found = await inputs_of(tx, [row.key for row in rows])
    assert {key: [one.dataset.name for one in read] for key, read in found.items()} == {row.key: names for row in rows}
