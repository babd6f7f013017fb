"""Runs that can be searched, over real catalogs."""

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Services


@pytest.fixture
def runs(axis: Services) -> Runs:
    """Give the runs of an installation."""
    points = Points(axis.get(Columns), axis.get(Catalog))
    axis.register(Points, points)
    found = Runs(
        catalog=axis.get(Catalog),
        points=points,
        artifacts=Artifacts(axis.get(Catalog), axis.get(Blobs)),
        assets=axis.get(Assets),
    )
    axis.register(Runs, found)
    return found
