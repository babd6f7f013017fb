"""Datasets over real assets and blobs; on SQLite, because what differs between catalogs is tested with the assets."""

from pathlib import Path

import pytest
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Services


@pytest.fixture
def datasets(axis: Services, blobs: Blobs, tmp_path: Path) -> Datasets:
    """Give datasets whose incoming files lie in a folder of the test."""
    found = Datasets(axis.get(Assets), blobs, spool=tmp_path / "spool")
    axis.register(Datasets, found)
    return found
