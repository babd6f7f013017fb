"""Runs over real stores."""

import pytest

import gimbal.axis.runs.operations  # noqa: F401 - fills the operation table
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
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
    artifacts = Artifacts(axis.get(Catalog), axis.get(Blobs))
    axis.register(Artifacts, artifacts)
    found = Runs(
        catalog=axis.get(Catalog),
        points=Points(axis.get(Columns), axis.get(Catalog)),
        artifacts=artifacts,
        assets=axis.get(Assets),
    )
    axis.register(Runs, found)
    axis.register(Datasets, Datasets(axis.get(Assets), axis.get(Blobs)))
    return found
