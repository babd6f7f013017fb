"""Runs over real stores."""

import pytest

import gimbal.axis.runs.operations  # noqa: F401 - fills the operation table
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.runs.service import Runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Services


@pytest.fixture
def runs(axis: Services) -> Runs:
    """Give the runs of an installation."""
    found = Runs(
        catalog=axis.get(Catalog),
        columns=axis.get(Columns),
        writer=axis.get(Writer),
        blobs=axis.get(Blobs),
        assets=axis.get(Assets),
    )
    axis.register(Runs, found)
    axis.register(Datasets, Datasets(axis.get(Assets), axis.get(Blobs)))
    return found
