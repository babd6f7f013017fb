"""Rows as a model takes them: one Arrow column per input, in the types of the signature."""

import pyarrow as pa

from gimbal.predictive.flavors.model import ModelManifest

ARROW = {"FP64": pa.float64(), "INT64": pa.int64(), "BOOL": pa.bool_(), "BYTES": pa.string()}
"""Arrow's type of each datatype."""


def example_rows(manifest: ModelManifest) -> pa.Table:
    """Return the example of a manifest as rows of its signature's types."""
    inputs = manifest.signature.inputs
    return pa.table({s.name: pa.array(manifest.example.get(s.name, []), ARROW[s.datatype]) for s in inputs})
