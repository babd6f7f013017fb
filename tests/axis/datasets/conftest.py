"""Datasets over real assets and blobs; on SQLite, because what differs between catalogs is tested with the assets."""

import shutil
from pathlib import Path

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import sqlite_url
from gimbal.kernel.context import Services


@pytest.fixture
def catalog_address(tmp_path: Path, sqlite_template: Path) -> str:
    """Use SQLite."""
    path = tmp_path / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    return sqlite_url(path)


@pytest.fixture
def datasets(axis: Services, blobs: Blobs, tmp_path: Path) -> Datasets:
    """Give datasets whose incoming files lie in a folder of the test."""
    found = Datasets(axis.get(Assets), blobs, spool=tmp_path / "spool")
    axis.register(Datasets, found)
    return found
