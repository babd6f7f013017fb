"""The skops file of a scikit-learn model: the same bytes for the same model, and read under *our* list of types.

The list in the file is never asked which types to trust: that is how skops-based loading was bypassed elsewhere
(GHSA-w582-9x45-8mpx). Trees are allowed by the list and looked at after loading, because scikit-learn follows the
child and feature numbers of a tree without checking them (scikit-learn#34558).
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import skops.io
from sklearn.tree._tree import Tree

from gimbal.kernel.errors import BadInput

# Beyond what skops trusts itself (scikit-learn's estimators, losses and links; numpy). Each is data or a pure function
# of the installed scikit-learn; what holds indices that compiled code follows is in `_sound`.
ALLOWED = frozenset(
    {
        "functools.partial",
        "numpy.dtype",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.validation.check_array",
        *(
            f"sklearn.gaussian_process.kernels.{name}"
            for name in (
                "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Hyperparameter",
                "Matern", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
            )
        ),
    }
)  # fmt: skip
_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DEEPEST = 100


def write(model: Any) -> bytes:
    """Return the file of a model: no pickle in it, and equal for equal models.

    skops names objects by their addresses and stamps the time; here they are numbered in the order of the schema.
    Raise BadInput for a model with types that would not be loaded again.
    """
    try:
        raw = skops.io.dumps(model)
    except Exception as problem:
        raise BadInput(
            f"The model cannot be saved without pickle: {_said(problem)}.",
            where="model",
            kept="nothing",
            todo="Build it of scikit-learn's own estimators.",
        ) from problem
    _refuse(set(skops.io.get_untrusted_types(data=raw)) - ALLOWED, kept="nothing")
    with zipfile.ZipFile(io.BytesIO(raw)) as source:
        schema = msgspec.json.decode(source.read(_SCHEMA))
        files = _number(schema)
        found = io.BytesIO()
        with zipfile.ZipFile(found, "w", zipfile.ZIP_STORED) as target:
            for name, numbered in files.items():
                target.writestr(zipfile.ZipInfo(numbered, _EPOCH), _canonical(name, source.read(name)))
            target.writestr(zipfile.ZipInfo(_SCHEMA, _EPOCH), msgspec.json.encode(schema))
    return found.getvalue()


def _number(schema: Any) -> dict[str, str]:
    """Give the objects and files of a schema numbers by first mention, in place; return the new name of each file."""
    ids: dict[int, int] = {}
    files: dict[str, str] = {}
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
            continue
        if not isinstance(node, dict):
            continue
        if node.get("__loader__") == "JsonNode":
            # Numbers and text: whether two of them were one object is an accident of the interpreter.
            node.pop("__id__", None)
        elif isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        name = node.get("file")
        if isinstance(name, str) and "__loader__" in node:
            node["file"] = files.setdefault(name, f"{len(files) + 1:05d}.{name.rpartition('.')[2]}")
        waiting.extend(reversed(node.values()))
    return files


def _canonical(name: str, content: bytes) -> bytes:
    """Return an array's file with nothing between the fields of its records: that memory is never written."""
    if not name.endswith(".npy"):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.fields is None:
        return content
    used = np.zeros(array.dtype.itemsize, dtype=bool)
    for kind, at, *_ in array.dtype.fields.values():
        used[at : at + kind.itemsize] = True
    records = np.frombuffer(content, np.uint8, array.nbytes, len(content) - array.nbytes).copy()
    records.reshape(-1, used.size)[:, ~used] = 0
    return content[: len(content) - array.nbytes] + records.tobytes()


def read(path: Path) -> Any:
    """Return the model of a file; raise BadInput, before anything is made of it, when it holds what is not allowed."""
    try:
        untrusted = set(skops.io.get_untrusted_types(file=path))
    except Exception as problem:
        raise _damaged(path, problem) from problem
    _refuse(untrusted - ALLOWED, kept="the version, unloaded")
    try:
        model = skops.io.load(path, trusted=sorted(ALLOWED))
    except Exception as problem:
        raise _damaged(path, problem) from problem
    if not all(_sound(part) for part in _parts(model)):
        raise BadInput(
            "A tree of the model points outside of itself, or at a feature that the model does not have.",
            where="model",
            kept="the version, unloaded",
            todo="Register it again from the fitted model with gimbal.log_model.",
        )
    return model


def _refuse(types: set[str], *, kept: str) -> None:
    if types:
        raise BadInput(
            f"The model holds types that are not allowed here: {', '.join(sorted(types))}.",
            where="model",
            kept=kept,
            todo="Build it of scikit-learn's own estimators; other types need a flavor of their own.",
        )


def _damaged(path: Path, problem: Exception) -> BadInput:
    return BadInput(
        f"{path.name} is not a skops file that can be read: {_said(problem)}.",
        where="model",
        kept="the version, unloaded",
        todo="Register it again with gimbal.log_model, with the versions of scikit-learn that it is to be served by.",
    )


def _said(problem: Exception) -> str:
    lines = str(problem).splitlines()
    return f"{type(problem).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(problem).__name__


def _parts(model: Any) -> Iterator[Any]:
    """Yield everything that a model is made of, each once: attributes, items of containers and of object arrays."""
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | None):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set | frozenset):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.ravel().tolist())
        else:
            waiting.extend(getattr(part, "__dict__", {}).values())


def _sound(part: Any) -> bool:
    """Tell whether the trees of an estimator stay inside of themselves and of its input: no cycle, no wild read."""
    held = getattr(part, "__dict__", {})
    width = held.get("n_features_in_", 0)
    if isinstance(held.get("tree_"), Tree):
        return _sound_tree(held["tree_"], width)
    if "_predictors" in held:
        return all(_sound_predictor(tree, width) for stage in held["_predictors"] for tree in stage)
    if isinstance(held.get("estimators_"), np.ndarray):
        # Gradient boosting goes through the trees of its stages itself, past what each of them would check.
        return all(isinstance(e.tree_, Tree) and e.tree_.n_features == width for e in held["estimators_"].ravel())
    return True


def _sound_tree(tree: Any, width: int) -> bool:
    inner = tree.children_left != -1
    down = _leads_down(tree.children_left[inner], tree.children_right[inner], inner)
    return down and tree.n_features == width and _within(tree.feature[inner], width)


def _sound_predictor(tree: Any, width: int) -> bool:
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    bitsets = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    known = min(len(tree.binned_left_cat_bitsets), len(tree.raw_left_cat_bitsets))
    down = _leads_down(nodes["left"][inner], nodes["right"][inner], inner)
    return down and _within(nodes["feature_idx"][inner], width) and _within(bitsets, known)


def _leads_down(left: Any, right: Any, inner: Any) -> bool:
    """Tell whether every child comes after its parent and within the tree, which has a root."""
    below = np.stack([left, right]).astype(np.int64)
    return bool(inner.size and ((below > np.flatnonzero(inner)) & (below < inner.size)).all())


def _within(values: Any, top: int) -> bool:
    found = np.asarray(values, dtype=np.int64)
    return bool(((found >= 0) & (found < top)).all())
