"""scikit-learn models are saved without pickle and come back predicting the same, row for row."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from gimbal.kernel.errors import BadInput, MissingExtra
from gimbal.predictive.flavors import loading
from gimbal.predictive.flavors.model import ModelManifest
from gimbal.predictive.flavors.rows import ARROW, example_rows
from gimbal.predictive.flavors.sklearn import FILE, differences, save

ROWS = 300


def frame(seed: int = 1) -> pd.DataFrame:
    """Return rows of every datatype, with gaps in the floats."""
    rng = np.random.default_rng(seed)
    distance = rng.normal(500, 200, ROWS)
    distance[::7] = np.nan
    return pd.DataFrame(
        {
            "distance": distance,
            "hour": rng.integers(0, 24, ROWS),
            "night": rng.random(ROWS) < 0.3,
            "carrier": rng.choice(["AA", "B6", "Ü8"], ROWS),
        }
    )


def truth(rows: pd.DataFrame) -> np.ndarray:
    """Return labels that the columns explain."""
    return np.asarray((rows["hour"] > 12) ^ (rows["carrier"] == "AA"))


def prepared(last: Any) -> Any:
    """Return a pipeline that takes all the columns."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "hour"]),
            ("names", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier", "night"]),
        ]
    )
    return make_pipeline(columns, last)


CLASSIFIERS = {
    "logistic": LogisticRegression,
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "histogram boosting of categories": lambda: HistGradientBoostingClassifier(
        max_iter=5, random_state=0, categorical_features=[2, 3, 4]
    ),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
    "network": lambda: MLPClassifier((4,), max_iter=20, random_state=0),
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC(), cv=2),
}
REGRESSORS = {
    "ridge": Ridge,
    "histogram boosting": lambda: HistGradientBoostingRegressor(max_iter=5, random_state=0),
    "forest": lambda: RandomForestRegressor(5, random_state=0),
    "gaussian process": lambda: GaussianProcessRegressor(random_state=0),
}


def reloaded(content: bytes, manifest: ModelManifest, folder: Path) -> loading.Predictor:
    (folder / FILE).write_bytes(content)
    return loading.load(manifest, folder)


def as_served(rows: pd.DataFrame, manifest: ModelManifest) -> pa.Table:
    """Return rows as the serving room sends them to a process."""
    schema = pa.schema([(spec.name, ARROW[spec.datatype]) for spec in manifest.signature.inputs])
    return pa.Table.from_pandas(rows, schema=schema, preserve_index=False)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_comes_back_predicting_the_same(make: Callable[[], Any], tmp_path: Path) -> None:
    """Classes, probabilities and the signature survive the file."""
    rows = frame()
    model = prepared(make()).fit(rows, truth(rows))
    content, manifest = save(model, rows)
    assert (manifest.task, manifest.classes) == ("classification", ["false", "true"])
    assert [(s.name, s.datatype, s.optional) for s in manifest.signature.inputs] == [
        ("distance", "FP64", True),
        ("hour", "INT64", False),
        ("night", "BOOL", False),
        ("carrier", "BYTES", False),
    ]
    assert [(s.name, s.datatype, s.shape) for s in manifest.signature.outputs] == [
        ("predict", "BYTES", (-1,)),
        ("probability", "FP64", (-1, 2)),
    ]
    fresh = frame(2)
    told = reloaded(content, manifest, tmp_path).predict(as_served(fresh, manifest))
    assert told["predict"].to_pylist() == ["true" if label else "false" for label in model.predict(fresh)]
    expected = model.predict_proba(fresh)
    np.testing.assert_allclose(told["probability.true"].to_numpy(), expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(told["probability.false"].to_numpy(), expected[:, 0], rtol=1e-12)


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_a_regression_comes_back_predicting_the_same(make: Callable[[], Any], tmp_path: Path) -> None:
    """Numbers come out, one per row, and no classes."""
    rows = frame()
    model = prepared(make()).fit(rows, rows["hour"] * 2.0)
    content, manifest = save(model, rows)
    assert (manifest.task, manifest.classes, len(manifest.signature.outputs)) == ("regression", [], 1)
    fresh = frame(2)
    told = reloaded(content, manifest, tmp_path).predict(as_served(fresh, manifest))
    np.testing.assert_allclose(told["predict"].to_numpy(), model.predict(fresh), rtol=1e-9)
    assert told.column_names == ["predict"]


def test_a_model_with_a_threshold_of_its_own_predicts_by_it(tmp_path: Path) -> None:
    """The class is what the model says, not the one of the highest probability."""
    rows = frame()
    inner = prepared(LogisticRegression()).fit(rows, truth(rows))
    model = FixedThresholdClassifier(inner, threshold=0.95).fit(rows, truth(rows))
    content, manifest = save(model, rows)
    told = reloaded(content, manifest, tmp_path).predict(as_served(rows, manifest))
    likely = told["probability.true"].to_numpy()
    assert ((likely > 0.5) & (likely < 0.95)).any()
    assert told["predict"].to_pylist() == ["true" if p >= 0.95 else "false" for p in likely]


def test_the_example_is_rows_of_the_input(tmp_path: Path) -> None:
    """Gaps stay gaps; the example alone is enough to ask the model."""
    rows = frame()
    content, manifest = save(prepared(LogisticRegression()).fit(rows, truth(rows)), rows)
    example = example_rows(manifest)
    assert example.num_rows == 3
    assert example["distance"][0].as_py() is None  # every seventh row has none
    assert example["carrier"].to_pylist() == rows["carrier"].head(3).tolist()
    assert reloaded(content, manifest, tmp_path).predict(example).num_rows == 3


_TRAIN_TWICE = """
import hashlib, sys
sys.path.insert(0, {root!r})
from tests.predictive.flavors.test_sklearn import CLASSIFIERS, frame, prepared, truth
from gimbal.predictive.flavors.sklearn import save
rows = frame()
for make in CLASSIFIERS.values():
    print(hashlib.sha256(save(prepared(make()).fit(rows, truth(rows)), rows)[0]).hexdigest())
"""


def test_training_the_same_model_again_gives_the_same_bytes() -> None:
    """In another process, at other addresses and another time: the same model is the same version."""
    root = str(Path(__file__).parents[3])
    script = _TRAIN_TWICE.format(root=root)
    command = [sys.executable, "-c", script]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    first, second = ([line.decode() for line in p.communicate()[0].split()] for p in running)
    assert len(first) == len(CLASSIFIERS)
    assert dict(zip(CLASSIFIERS, first, strict=True)) == dict(zip(CLASSIFIERS, second, strict=True))
    assert len(set(first)) == len(first)


class TestRefusedAtSaving:
    """What could not be served is refused where it is made, with what to do."""

    def test_types_of_others_by_their_names(self) -> None:
        """A model of one's own class is refused by its name."""
        rows = frame()
        rows = rows[["hour"]]
        model = Mine().fit(rows, truth(frame()))
        with pytest.raises(BadInput, match=r"not allowed here: .*test_sklearn\.Mine\.") as told:
            save(model, rows)
        assert told.value.kept == "nothing"

    def test_types_whose_content_cannot_be_checked(self) -> None:
        """A search tree holds indices that compiled code follows unseen."""
        rows = frame()[["hour"]].astype(float)
        with pytest.raises(BadInput, match=r"sklearn\.neighbors\._kd_tree\.KDTree"):
            save(KNeighborsClassifier(algorithm="kd_tree").fit(rows, truth(frame())), rows)

    def test_a_model_that_is_not_fitted(self) -> None:
        """Neither a classifier nor a regression passes unfitted."""
        rows = frame()
        with pytest.raises(BadInput, match="not fitted"):
            save(prepared(LogisticRegression()), rows)
        with pytest.raises(BadInput, match="NotFittedError"):
            save(prepared(Ridge()), rows)

    def test_a_classifier_without_probabilities(self) -> None:
        """It is told how to get some."""
        rows = frame()
        with pytest.raises(BadInput, match="gives no probabilities") as told:
            save(prepared(LinearSVC()).fit(rows, truth(rows)), rows)
        assert "CalibratedClassifierCV" in told.value.todo

    def test_several_outputs(self) -> None:
        """One model, one answer per row."""
        rows = frame()[["hour"]]
        both = np.stack([truth(frame()), ~truth(frame())], axis=1).astype(int)
        with pytest.raises(BadInput, match="several outputs"):
            save(RandomForestClassifier(2).fit(rows, both), rows)

    def test_an_example_that_the_model_does_not_take(self) -> None:
        """Other columns than those it was fitted on."""
        rows = frame()
        model = prepared(LogisticRegression()).fit(rows, truth(rows))
        with pytest.raises(BadInput, match="does not predict on the example") as told:
            save(model, rows[["hour", "night", "carrier"]])
        assert told.value.where == "example"

    @pytest.mark.parametrize(
        ("example", "said"),
        [
            (pd.DataFrame({"hour": []}), "no DataFrame with rows"),
            ([[1.0]], "no DataFrame with rows"),
            (pd.DataFrame([[1, 2]], columns=["hour", "hour"]), "one name"),
        ],
    )
    def test_an_example_that_is_no_table(self, example: Any, said: str) -> None:
        """Nothing could be read off it."""
        rows = frame()[["hour"]]
        with pytest.raises(BadInput, match=said):
            save(LogisticRegression().fit(rows, truth(frame())), example)


class Mine(LogisticRegression):
    """An estimator of this file."""


def test_other_versions_are_told() -> None:
    """Which library, which version made it, which is here."""
    rows = frame()[["hour"]]
    _, manifest = save(LogisticRegression().fit(rows, truth(frame())), rows)
    assert differences(manifest) == []
    aged = ModelManifest(**{**_fields(manifest), "environment": manifest.environment | {"scikit-learn": "0.1"}})
    assert [text.partition(",")[0] for text in differences(aged)] == ["scikit-learn 0.1"]


def _fields(manifest: ModelManifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in manifest.__struct_fields__}


def test_an_unknown_flavor_is_refused(tmp_path: Path) -> None:
    """With the flavors that there are; one whose library is missing says how to get it."""
    rows = frame()[["hour"]]
    _, manifest = save(LogisticRegression().fit(rows, truth(frame())), rows)
    with pytest.raises(BadInput, match="'torch' is not a flavor") as told:
        loading.load(ModelManifest(**{**_fields(manifest), "flavor": "torch"}), tmp_path)
    assert told.value.todo == "There are: sklearn."


def test_a_missing_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, not only the module."""
    rows = frame()[["hour"]]
    _, manifest = save(LogisticRegression().fit(rows, truth(frame())), rows)
    monkeypatch.setitem(sys.modules, "gimbal.predictive.flavors.sklearn", None)
    with pytest.raises(MissingExtra) as told:
        loading.load(manifest, tmp_path)
    assert told.value.todo == "pip install 'gimbal-ops[sklearn]'"
