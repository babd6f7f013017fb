"""A catalog on SQLite only: what differs between the engines is tested where the tables are.

`from tests.sqlite import catalog_address` in a conftest or test module takes the place of the fixture for both engines.
"""

import shutil
from pathlib import Path

import pytest

from gimbal.engines.storage.catalog import sqlite_url


@pytest.fixture
def catalog_address(tmp_path: Path, sqlite_template: Path) -> str:
    """Address of a fresh catalog with every table, on SQLite."""
    path = tmp_path / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    return sqlite_url(path)
