"""The check over SQLite, chDB and blobs in a folder."""

import pytest
from tests.axis.evaluating import answers, evaluations
from tests.sqlite import catalog_address

import gimbal.axis.evals.contaminating.operations  # noqa: F401 - fills the operation table
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Services

__all__ = ["answers", "catalog_address", "evaluations"]


@pytest.fixture
def datasets(axis: Services) -> Datasets:
    """Give the datasets of an installation."""
    return Datasets(axis.get(Assets), axis.get(Blobs))
