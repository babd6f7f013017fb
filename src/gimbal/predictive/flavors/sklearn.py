"""scikit-learn models, saved by skops: no pickle, and only types that *we* allow are ever made from a file.

The list in the file is never asked which types to trust: that is how skops-based loading was bypassed elsewhere
(GHSA-w582-9x45-8mpx).
"""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import skops.io
from sklearn.base import is_classifier

from gimbal.kernel.errors import BadInput
from gimbal.predictive.flavors.model import ModelManifest, Signature, TensorSpec

FILE = "model.skops"
# Beyond what skops trusts itself (scikit-learn's own estimators, numpy): the parts of histogram gradient boosting,
# and the function that its transformers wrap. Each is data or a pure function.
ALLOWED = frozenset(
    {
        "functools.partial",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
    }
)
_EXAMPLE_ROWS = 3


def save(model: Any, example: pd.DataFrame) -> tuple[bytes, ModelManifest]:
    """Return the bytes of a fitted estimator and its manifest, with the signature read off an example of its input."""
    signature_inputs = [_spec(str(name), example[name]) for name in example.columns]
    classifier = is_classifier(model)
    outputs = [TensorSpec(name="predict", datatype="BYTES" if classifier else "FP64")]
    classes: list[str] = []
    if classifier:
        classes = [_label(c) for c in model.classes_]
        outputs.append(TensorSpec(name="probability", datatype="FP64", shape=(-1, len(classes))))
    rows = example.head(_EXAMPLE_ROWS)
    manifest = ModelManifest(
        flavor="sklearn",
        task="classification" if classifier else "regression",
        signature=Signature(inputs=signature_inputs, outputs=outputs),
        classes=classes,
        example={str(c): [None if pd.isna(v) else _scalar(v) for v in rows[c]] for c in rows.columns},
        environment={
            "python": platform.python_version(),
            **{name: version(name) for name in ("scikit-learn", "skops", "numpy", "pandas")},
        },
    )
    return skops.io.dumps(model), manifest


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _label(value: Any) -> str:
    return str(_scalar(value)).lower() if isinstance(value, bool | np.bool_) else str(_scalar(value))


def _spec(name: str, column: Any) -> TensorSpec:
    missing = bool(column.isna().any())
    if pd.api.types.is_bool_dtype(column):
        return TensorSpec(name=name, datatype="BOOL", optional=missing)
    if pd.api.types.is_integer_dtype(column):
        return TensorSpec(name=name, datatype="INT64", optional=missing)
    if pd.api.types.is_float_dtype(column):
        # A float column can hold NaN whether the example did or not.
        return TensorSpec(name=name, datatype="FP64", optional=True)
    return TensorSpec(name=name, datatype="BYTES", optional=missing)


class SklearnPredictor:
    """A loaded estimator; see `loading.Predictor`."""

    def __init__(self, model: Any, manifest: ModelManifest) -> None:
        self._model = model
        self._manifest = manifest

    def predict(self, rows: pa.Table) -> pa.Table:
        """Return the prediction per row, and for classifiers a probability per class."""
        frame = rows.to_pandas()
        if self._manifest.task == "regression":
            return pa.table({"predict": pa.array(np.asarray(self._model.predict(frame), np.float64))})
        probabilities = np.asarray(self._model.predict_proba(frame), np.float64)
        best = [self._manifest.classes[i] for i in probabilities.argmax(axis=1)]
        columns = {f"probability.{name}": probabilities[:, i] for i, name in enumerate(self._manifest.classes)}
        return pa.table({"predict": pa.array(best, pa.string()), **columns})


def load(manifest: ModelManifest, folder: Path) -> SklearnPredictor:
    """Load the file; raise BadInput that names the types which are not allowed, before anything is made of them."""
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"The version has no {FILE}.", where="files", todo="Register it with gimbal.log_model.")
    refused = sorted(set(skops.io.get_untrusted_types(file=path)) - ALLOWED)
    if refused:
        raise BadInput(
            f"The model holds types that are not allowed here: {', '.join(refused)}.",
            where=FILE,
            kept="the version, unloaded",
            todo="Build it of scikit-learn's own estimators; other types need a flavor of their own.",
        )
    return SklearnPredictor(skops.io.load(path, trusted=sorted(ALLOWED)), manifest)
