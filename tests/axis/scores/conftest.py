"""Scores over chDB; the catalog is SQLite, because nothing of a score is in it."""

import pytest
from tests.sqlite import catalog_address

import gimbal.axis.scores.operations  # noqa: F401 - fills the operation table
from gimbal.axis.scores.service import Scores
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Services

__all__ = ["catalog_address"]


@pytest.fixture
def scores(axis: Services) -> Scores:
    """Give the scores of an installation."""
    found = Scores(axis.get(Columns), axis.get(Writer))
    axis.register(Scores, found)
    return found
