"""scikit-learn models: the signature is read off an example, the file is skops (`skops_file`), never pickle."""

import logging
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from gimbal.kernel.errors import BadInput
from gimbal.predictive.flavors import skops_file
from gimbal.predictive.flavors.model import ModelManifest, Signature, TensorSpec
from gimbal.predictive.flavors.rows import example_rows

FILE = "model.skops"
_EXAMPLE_ROWS = 3
_LIBRARIES = ("scikit-learn", "skops", "numpy", "pandas")
# Estimators whose class is that of the highest probability by their own definition: asking twice would cost twice.
_LIKELIEST = frozenset(
    {
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "HistGradientBoostingClassifier",
        "RandomForestClassifier",
    }
)
_log = logging.getLogger(__name__)


def save(model: Any, example: pd.DataFrame) -> tuple[bytes, ModelManifest]:
    """Return the bytes of a fitted estimator and its manifest, with the signature read off an example of its input.

    Raise BadInput when it could not be served: it is not fitted, its types are not allowed, it does not take the
    example in the types of the signature, or its answers are not one class or number per row.
    """
    if not hasattr(example, "iloc") or example.empty:
        raise BadInput("The example is no DataFrame with rows.", where="example", todo="Give a few rows of the input.")
    names = [str(name) for name in example.columns]
    if len(set(names)) < len(names):
        raise BadInput("Two columns of the example have one name.", where="example", todo="Rename one of them.")
    classifier = is_classifier(model)
    outputs = [TensorSpec(name="predict", datatype="BYTES" if classifier else "FP64")]
    classes = _classes(model) if classifier else []
    if classifier:
        outputs.append(TensorSpec(name="probability", datatype="FP64", shape=(-1, len(classes))))
    rows = example.head(_EXAMPLE_ROWS)
    manifest = ModelManifest(
        flavor="sklearn",
        task="classification" if classifier else "regression",
        signature=Signature(inputs=[_spec(name, example.iloc[:, i]) for i, name in enumerate(names)], outputs=outputs),
        classes=classes,
        example={n: [None if pd.isna(v) else _scalar(v) for v in rows.iloc[:, i]] for i, n in enumerate(names)},
        environment={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    )
    content = skops_file.write(model)
    try:
        SklearnPredictor(model, manifest).predict(example_rows(manifest))
    except Exception as problem:
        raise BadInput(
            f"The model does not predict on the example as it would be served: {type(problem).__name__}: {problem}",
            where="example",
            kept="nothing",
            todo="Fit it first, on columns of numbers, booleans and text (text instead of pandas categories).",
        ) from problem
    return content, manifest


def _classes(model: Any) -> list[str]:
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise BadInput(
            f"{type(model).__name__} gives no probabilities, or is not fitted.",
            where="model",
            kept="nothing",
            todo="Fit it; wrap one without predict_proba in CalibratedClassifierCV.",
        )
    if isinstance(model.classes_, list):
        raise BadInput("A model of several outputs cannot be served yet.", where="model", todo="Save one per output.")
    return [_label(c) for c in model.classes_]


def _last(model: Any) -> Any:
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


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
        # Others are asked for the class itself: with a threshold of its own, or an SVC, it is another one.
        self._is_likeliest = type(_last(model)).__name__ in _LIKELIEST

    def predict(self, rows: pa.Table) -> pa.Table:
        """Return the prediction per row, and for classifiers a probability per class."""
        frame = rows.to_pandas()
        if self._manifest.task == "regression":
            return pa.table({"predict": pa.array(np.asarray(self._model.predict(frame), np.float64))})
        probabilities = np.asarray(self._model.predict_proba(frame), np.float64)
        if self._is_likeliest:
            best = [self._manifest.classes[i] for i in probabilities.argmax(axis=1)]
        else:
            best = [_label(value) for value in np.asarray(self._model.predict(frame))]
        columns = {f"probability.{name}": probabilities[:, i] for i, name in enumerate(self._manifest.classes)}
        return pa.table({"predict": pa.array(best, pa.string()), **columns})


def load(manifest: ModelManifest, folder: Path) -> SklearnPredictor:
    """Load the file; raise BadInput that names the types which are not allowed, before anything is made of them.

    Other versions of the libraries than those that made it are told in the log, and in the error when it fails.
    """
    path = folder / FILE
    if not path.exists():
        raise BadInput(f"The version has no {FILE}.", where="files", todo="Register it with gimbal.log_model.")
    other = "; ".join(differences(manifest))
    if other:
        _log.warning("made with other versions than are here: %s", other)
    try:
        return SklearnPredictor(skops_file.read(path), manifest)
    except BadInput as problem:
        if other:
            raise BadInput(
                f"{problem.message} It was made with other versions than are here: {other}.",
                where=problem.where,
                kept=problem.kept,
                todo=problem.todo,
            ) from problem
        raise


def differences(manifest: ModelManifest) -> list[str]:
    """Return the libraries whose versions here are not those that made a model: `scikit-learn 1.5.0, here 1.9.1`."""
    pairs = [(name, manifest.environment.get(name), version(name)) for name in _LIBRARIES]
    return [f"{name} {made}, here {here}" for name, made, here in pairs if made is not None and made != here]
