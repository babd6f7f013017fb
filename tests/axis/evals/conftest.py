"""Evaluations over SQLite, chDB and blobs in a folder."""

from tests.axis.evaluating import answers, catalog_address, evaluations

import gimbal.axis.evals.operations  # noqa: F401 - fills the operation table

__all__ = ["answers", "catalog_address", "evaluations"]
