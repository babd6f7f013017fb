"""Whoever wrote finds it: searches and lists know what was acknowledged, however far behind the columns are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.axis.runs.points.test_points import batch

from gimbal.axis.assets.service import Assets
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.points import waiting
from gimbal.axis.runs.points.model import Point
from gimbal.axis.runs.points.records import Ready
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.search.model import RunQuery
from gimbal.axis.runs.search.service import search
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.wiring import beside
from gimbal.kernel.context import Context, Services


class Held(Points):
    """Points that are carried to the stores only once `go` is set."""

    go: asyncio.Event

    async def _keep(self, made: Ready) -> None:
        await self.go.wait()
        await super()._keep(made)


@pytest.fixture
async def held(axis: Services, tmp_path: Path) -> AsyncIterator[Held]:
    """Give points whose stores take nothing until they are told."""
    found = Held(axis.get(Columns), axis.get(Catalog))
    found.go = asyncio.Event()
    keeping = found.kept_in(tmp_path / "journal", most_bytes=50_000_000)
    keeping.open()
    axis.register(Points, found)
    async with beside(keeping.run, "carrying"), beside(keeping.sync, "journal"):
        yield found
        found.go.set()
        await found.settled(10)
    keeping.close()


@pytest.fixture
def runs(axis: Services, held: Held) -> Runs:
    """Give runs over them."""
    artifacts = Artifacts(axis.get(Catalog), axis.get(Blobs))
    return Runs(catalog=axis.get(Catalog), points=held, artifacts=artifacts, assets=axis.get(Assets))


async def found(ctx: Context, text: str) -> list[str]:
    return [row.id for row in (await search(ctx, RunQuery(filter=text, order=["metrics.auc DESC"]))).items]


async def test_a_search_finds_what_was_acknowledged_and_waits_for_no_store(
    held: Held, runs: Runs, ctx: Context
) -> None:
    """It is asked while the columns take nothing at all; only the history has to wait for them."""
    one, two = [await runs.desk.of(ctx, (await runs.create(ctx, CreateRun())).id) for _ in range(2)]
    async with asyncio.timeout(10):
        for step in range(3):
            await held.put(one, batch("auc", (step, step, step / 10)))
            await held.put(two, batch("auc", (step, step, step / 5)))

            assert await found(ctx, f"metrics.auc > {step / 10 - 0.01}") == [two.id, one.id]
            assert await found(ctx, f"metrics.auc > {step / 10 + 0.01}") == ([two.id] if step else [])
            assert (await held.latest([two]))[two.id]["auc"] == Point(step, step, step / 5)
    held.go.set()
    assert len(await held.history(one, "auc", limit=10)) == 3
    assert await found(ctx, "metrics.auc = 0.2") == [one.id]


async def test_too_much_to_know_is_waited_for(
    held: Held, runs: Runs, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is known up to a size only; beyond it the stores are hurried and waited for."""
    monkeypatch.setattr(waiting, "_MOST", 300)
    run = await runs.desk.of(ctx, (await runs.create(ctx, CreateRun())).id)
    for step in range(20):
        await held.put(run, batch(f"m{step}", (step, step, 1.0)))
    asked = asyncio.create_task(found(ctx, "metrics.m0 = 1"))
    done, _ = await asyncio.wait([asked], timeout=0.2)
    assert not done
    held.go.set()
    assert await asyncio.wait_for(asked, 10) == [run.id]


async def test_other_projects_are_not_asked_about(held: Held, runs: Runs, ctx: Context) -> None:
    """The points of one project are of no use to a search in another, and those of one run to a look at another."""
    there = ctx.within("flights")
    foreign = await runs.desk.of(there, (await runs.create(there, CreateRun())).id)
    own = await runs.desk.of(ctx, (await runs.create(ctx, CreateRun())).id)
    await held.put(foreign, batch("auc", (0, 0, 1.0)))
    assert await found(ctx, "metrics.auc = 1") == []
    assert await held.latest([own]) == {}
    assert await found(there, "metrics.auc = 1") == [foreign.id]
