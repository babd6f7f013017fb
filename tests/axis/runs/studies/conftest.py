"""Studies over real stores."""

import pytest

import gimbal.axis.runs.studies.operations  # noqa: F401 - fills the operation table
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.studies.service import Studies
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Services


@pytest.fixture
def studies(axis: Services, runs: Runs) -> Studies:
    """Give the studies of an installation."""
    found = Studies(axis.get(Catalog), runs)
    axis.register(Studies, found)
    return found
