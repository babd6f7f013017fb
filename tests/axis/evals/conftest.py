"""Evaluations over SQLite, chDB and blobs in a folder."""

from tests.axis.evaluating import answers, evaluations
from tests.axis.judging import judges
from tests.sqlite import catalog_address

import gimbal.axis.evals.operations  # noqa: F401 - fills the operation table

__all__ = ["answers", "catalog_address", "evaluations", "judges"]
