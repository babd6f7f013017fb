"""Files that were made to harm are refused by name and in words, before anything of theirs runs."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from gimbal.axis.assets.model import FileEntry
from gimbal.kernel.errors import BadInput
from gimbal.predictive.flavors import loading, skops_file
from gimbal.predictive.flavors.model import ModelManifest, manifest_of, quarantined
from gimbal.predictive.flavors.sklearn import FILE, save

ROWS = pd.DataFrame({"a": np.linspace(-1, 1, 60), "b": np.arange(60) % 5})
LABELS = (ROWS["a"] > 0).to_numpy()


@pytest.fixture(scope="module")
def good() -> tuple[bytes, ModelManifest]:
    """Give the file and the manifest of a sound model."""
    return save(LogisticRegression().fit(ROWS, LABELS), ROWS)


def load(content: bytes, manifest: ModelManifest, folder: Path) -> loading.Predictor:
    (folder / FILE).write_bytes(content)
    return loading.load(manifest, folder)


def zipped(schema: Any, files: dict[str, bytes] | None = None) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in (files or {}).items():
            archive.writestr(name, content)
        archive.writestr("schema.json", json.dumps(schema))
    return target.getvalue()


def edited(content: bytes, edit: Callable[[Any], None]) -> bytes:
    """Return a skops file whose schema was tampered with."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read("schema.json"))
        files = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    edit(schema)
    return zipped(schema, files)


class Bomb:
    """Pickles into a call of the shell."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_in_disguise_does_not_run(tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
    """Its name says skops, its bytes are a pickle that would call the shell."""
    mark = tmp_path / "ran"
    with pytest.raises(BadInput, match=r"model\.skops is not a skops file that can be read: BadZipFile"):
        load(pickle.dumps(Bomb(mark)), good[1], tmp_path)
    assert not mark.exists()


def test_a_pickle_inside_an_array_file_does_not_run(tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
    """NumPy's own format can hold pickled objects; those are not read."""
    mark = tmp_path / "ran"
    target = io.BytesIO()
    np.save(target, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(good[0])) as archive:
        schema = json.loads(archive.read("schema.json"))
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
    assert arrays
    with pytest.raises(BadInput, match="allow_pickle"):
        load(zipped(schema, dict.fromkeys(arrays, target.getvalue())), good[1], tmp_path)
    assert not mark.exists()


def _function() -> dict[str, Any]:
    return {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 901, "content": "system"}


def _tuple_of(text: str) -> dict[str, Any]:
    item = {
        "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(text),
        "is_json": True,
    }  # fmt: skip
    return {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [item]}


def _empty() -> dict[str, Any]:
    keys = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    return {
        "__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}, "key_types": keys,
    }  # fmt: skip


# Ways to name a function or a class that should never be called, one per loader of the format that can name one.
ATTACKS: dict[str, dict[str, Any]] = {
    "os.system": _function(),
    "posix.system": {**_function(), "__module__": "posix"},
    "builtins.eval": {**_function(), "__module__": "builtins", "__class__": "eval"},
    "subprocess.Popen": {
        "__class__": "Popen", "__module__": "subprocess", "__loader__": "TypeNode", "__id__": 902,
    },
    "object of os.system": {
        "__class__": "system", "__module__": "os", "__loader__": "ObjectNode", "content": _empty(), "__id__": 903,
    },
    "partial of os.system": {
        "__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "__id__": 904,
        "content": {
            "func": _function(), "args": _tuple_of("touch ran"), "kwds": _empty(), "namespace": _empty(),
        },
    },
    "method of a path": {
        "__class__": "touch", "__module__": "pathlib", "__loader__": "MethodNode", "__id__": 905,
        "content": {
            "func": "touch",
            "obj": {
                "__class__": "Path", "__module__": "pathlib", "__loader__": "ObjectNode", "content": _empty(),
                "__id__": 906,
            },
        },
    },
    "operator that calls": {
        "__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "__id__": 907,
        "attrs": _tuple_of("touch"),
    },
    "a loader that does not exist": {**_function(), "__loader__": "PickleNode"},
}  # fmt: skip


@pytest.mark.parametrize("node", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("place", ["root", "inside"])
def test_a_file_that_names_what_may_not_be_made(
    node: dict[str, Any],
    place: str,
    tmp_path: Path,
    good: tuple[bytes, ModelManifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the root, or as an attribute of a harmless estimator: refused, and nothing ran."""
    monkeypatch.chdir(tmp_path)  # where `touch ran` would leave its mark

    def plant(schema: Any) -> None:
        schema["content"]["content"]["solver"] = node

    content = edited(good[0], plant) if place == "inside" else zipped({**node, "protocol": 2, "_skops_version": "0.1"})
    with pytest.raises(BadInput) as told:
        load(content, good[1], tmp_path)
    assert not (tmp_path / "ran").exists()
    assert told.value.kept == "the version, unloaded"
    if node["__loader__"] in {"FunctionNode", "TypeNode", "ObjectNode"}:
        assert f"not allowed here: {node['__module__']}.{node['__class__']}." in told.value.message


def test_the_names_are_said_of_all_types_that_are_not_allowed(
    tmp_path: Path, good: tuple[bytes, ModelManifest]
) -> None:
    """A transformer over a function of the shell: the function is named; the file's own word does not count."""
    content = skops.io.dumps(FunctionTransformer(os.system))

    def trust_me(schema: Any) -> None:
        schema["trusted"] = ["posix.system", "os.system"]

    with pytest.raises(BadInput, match=r"not allowed here: (nt|posix|os)\.system\.") as told:
        load(edited(content, trust_me), good[1], tmp_path)
    assert "flavor of their own" in told.value.todo


class TestDamaged:
    """Damage of any kind is one kind of error, in words."""

    @pytest.mark.parametrize("kept", [0, 1, 100, -1, -30])
    def test_truncated(self, kept: int, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """Cut at the front, in the middle, just before the end."""
        with pytest.raises(BadInput, match="is not a skops file that can be read"):
            load(good[0][:kept], good[1], tmp_path)

    def test_flipped_bytes_in_an_array(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """The archive's own checksums find it."""
        at = good[0].index(b"\x93NUMPY") + 128
        damaged = good[0][:at] + bytes([good[0][at] ^ 0xFF]) + good[0][at + 1 :]
        with pytest.raises(BadInput, match="CRC"):
            load(damaged, good[1], tmp_path)

    @pytest.mark.parametrize(
        "schema", [[], {}, {"protocol": 2}, {"protocol": 99}, {"protocol": True}, "text", None, {"protocol": "2"}]
    )
    def test_a_schema_that_is_none(self, schema: Any, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """JSON of any other form."""
        with pytest.raises(BadInput, match="is not a skops file that can be read"):
            load(zipped(schema), good[1], tmp_path)

    def test_a_zip_of_something_else(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """No schema in it."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("readme.txt", "hello")
        with pytest.raises(BadInput, match=r"schema\.json"):
            load(target.getvalue(), good[1], tmp_path)

    def test_a_schema_nested_without_end(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """Depth that no model has ends in an error and not in the process."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("schema.json", _nested(3_000))
        with pytest.raises(BadInput, match="RecursionError"):
            load(target.getvalue(), good[1], tmp_path)

    def test_no_file_at_all(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """It is said which one is missing."""
        with pytest.raises(BadInput, match=r"has no model\.skops"):
            loading.load(good[1], tmp_path)

    def test_what_made_it_is_said_when_it_differs(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """The likeliest reason of a failure is another version of the library."""
        environment = good[1].environment | {"scikit-learn": "0.99"}
        fields = {name: getattr(good[1], name) for name in good[1].__struct_fields__}
        manifest = ModelManifest(**{**fields, "environment": environment})
        with pytest.raises(
            BadInput, match=r"made with other versions than are here: scikit-learn 0\.99, here [\d.]+\."
        ):
            load(b"PK", manifest, tmp_path)


def _nested(depth: int) -> str:
    head = '{"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "protocol": 2, "content": ['
    return head * depth + "]}" * depth


class TestTreesThatLeadAstray:
    """scikit-learn follows the numbers in a tree unchecked: a file with wild ones would read foreign memory."""

    def _spoiled(self, model: Any, edit: Callable[[np.ndarray], None]) -> bytes:
        """Return the file of a model whose records of tree nodes were edited."""
        content = skops_file.write(model)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        hit = 0
        for name, raw in files.items():
            if not name.endswith(".npy"):
                continue
            array = np.load(io.BytesIO(raw))
            if array.dtype.names and ({"left_child", "left"} & set(array.dtype.names)):
                edit(array)
                target = io.BytesIO()
                np.save(target, array)
                files[name] = target.getvalue()
                hit += 1
        assert hit
        schema = json.loads(files.pop("schema.json"))
        return zipped(schema, files)

    @pytest.mark.parametrize("field", ["left", "right", "feature_idx"])
    @pytest.mark.parametrize("value", [0, 4_000_000])
    def test_histogram_boosting(
        self, field: str, value: int, tmp_path: Path, good: tuple[bytes, ModelManifest]
    ) -> None:
        """A child outside of the tree, one that is the root again, and a feature that there is not."""
        model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2).fit(ROWS, LABELS)

        def edit(nodes: np.ndarray) -> None:
            nodes[field][0] = value

        if field == "feature_idx" and value == 0:
            load(self._spoiled(model, edit), good[1], tmp_path)  # feature 0 there is: nothing to refuse
            return
        with pytest.raises(BadInput, match="points outside of itself"):
            load(self._spoiled(model, edit), good[1], tmp_path)

    @pytest.mark.parametrize("make", [RandomForestClassifier, GradientBoostingClassifier])
    @pytest.mark.parametrize(
        ("field", "value"),
        [("left_child", 10**9), ("right_child", -7), ("left_child", 0), ("feature", 2), ("feature", -3)],
    )
    def test_forests(
        self, make: Any, field: str, value: int, tmp_path: Path, good: tuple[bytes, ModelManifest]
    ) -> None:
        """The same of forests and of boosted trees."""
        model = make(n_estimators=2, random_state=0).fit(ROWS, LABELS)

        def edit(nodes: np.ndarray) -> None:
            nodes[field][0] = value

        with pytest.raises(BadInput, match="points outside of itself"):
            load(self._spoiled(model, edit), good[1], tmp_path)

    def test_a_narrower_input_than_the_trees_take(self, tmp_path: Path, good: tuple[bytes, ModelManifest]) -> None:
        """The ensemble claims one feature while its trees read two."""
        model = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(ROWS, LABELS)

        def narrow(schema: Any) -> None:
            schema["content"]["content"]["n_features_in_"]["content"] = "1"

        with pytest.raises(BadInput, match="points outside of itself"):
            load(edited(skops_file.write(model), narrow), good[1], tmp_path)


class TestManifest:
    """A manifest is checked when a version is added; what is wrong is named."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"flavor": 3}, r"\$\.flavor"),
            ({"task": "clustering"}, r"\$\.task"),
            ({"signature": {}}, "inputs"),
            ({"trusted": ["os.system"]}, "trusted"),
            ({"signature": {"inputs": [{"name": "a", "datatype": "FP16"}], "outputs": []}}, r"inputs\[0\]\.datatype"),
        ],
    )
    def test_fields(self, change: dict[str, Any], said: str) -> None:
        """Unknown fields, wrong types, missing parts."""
        signature = {"inputs": [{"name": "a", "datatype": "FP64"}], "outputs": []}
        manifest = {"flavor": "sklearn", "task": "regression", "signature": signature} | change
        with pytest.raises(BadInput, match=said):
            manifest_of(manifest)

    @pytest.mark.parametrize("path", ["model.pkl", "a/b.JOBLIB", "weights.pt", "x.cloudpickle"])
    def test_pickled_files_are_quarantined(self, path: str) -> None:
        """By what they are called, in any case of letters."""
        entry = FileEntry(path=path, digest="b3:" + "0" * 64, size=1)
        fine = FileEntry(path=FILE, digest="b3:" + "0" * 64, size=1)
        assert quarantined([fine, entry]) == [path]
