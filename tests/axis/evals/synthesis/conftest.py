"""Synthesis over SQLite, chDB and blobs in a folder, with a model that says what a test says."""

from tests.axis.evaluating import answers, evaluations
from tests.axis.synthesising import model
from tests.sqlite import catalog_address

import gimbal.axis.evals.synthesis.operations  # noqa: F401 - fills the operation table

__all__ = ["answers", "catalog_address", "evaluations", "model"]
