"""Points over real stores, put into a journal that a carrier empties."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.model import CreateRun
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.wiring import beside
from gimbal.kernel.context import Context, Services


@pytest.fixture
async def points(axis: Services, tmp_path: Path) -> AsyncIterator[Points]:
    """Give points whose journal is carried beside the test."""
    found = Points(axis.get(Columns), axis.get(Catalog))
    keeping = found.kept_in(tmp_path / "journal", most_bytes=50_000_000)
    keeping.open()
    async with beside(keeping.run, "carrying"), beside(keeping.sync, "journal"):
        yield found
    await keeping.carry_rest()
    keeping.close()


@pytest.fixture
def kept(axis: Services, points: Points) -> Runs:
    """Give runs over those points."""
    return Runs(
        catalog=axis.get(Catalog),
        points=points,
        artifacts=Artifacts(axis.get(Catalog), axis.get(Blobs)),
        assets=axis.get(Assets),
    )


@pytest.fixture
async def run(kept: Runs, ctx: Context) -> RunRow:
    """Give a run."""
    return await kept.desk.of(ctx, (await kept.create(ctx, CreateRun())).id)
