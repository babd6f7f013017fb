"""Finds the flavor of a model version; a flavor's library is imported only when one of its models is loaded."""

import importlib
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from gimbal.kernel.errors import BadInput, MissingExtra
from gimbal.predictive.flavors.model import ModelManifest

# Module and extra of each flavor.
FLAVORS = {"sklearn": ("gimbal.predictive.flavors.sklearn", "sklearn")}


class Predictor(Protocol):
    """A loaded model. Used by one thread at a time."""

    def predict(self, rows: pa.Table) -> pa.Table:
        """Return one row per row: `predict` and, for classifiers, `probability.<class>` columns."""
        ...


def load(manifest: ModelManifest, folder: Path) -> Predictor:
    """Load a model from its files; raise BadInput when it may not be loaded, MissingExtra without its library."""
    if manifest.flavor not in FLAVORS:
        raise BadInput(
            f"{manifest.flavor!r} is not a flavor.", where="manifest.flavor", todo=f"There are: {', '.join(FLAVORS)}."
        )
    module, extra = FLAVORS[manifest.flavor]
    try:
        flavor = importlib.import_module(module)
    except ImportError as problem:
        raise MissingExtra(
            f"Models of the flavor {manifest.flavor} need {problem.name}.",
            where="manifest.flavor",
            todo=f"pip install 'gimbal-ops[{extra}]'",
        ) from None
    return flavor.load(manifest, folder)
