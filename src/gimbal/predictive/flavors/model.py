"""The manifest of a model version: flavor, task, signature, example and environment; the asset kind `model`.

Nothing executes from an upload: a version that holds pickled files is marked quarantined and is not loaded.
"""

from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.kernel.errors import BadInput

Datatype = Literal["BOOL", "INT64", "FP64", "BYTES"]
# Formats that run code when they are read (CVE-2024-37052 and its family).
_PICKLED = frozenset({".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".bin", ".dill"})


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output, by the Open Inference Protocol's types."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = (-1,)
    """-1 is any number of rows."""
    optional: bool = False
    """Whether values may be missing."""


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes in and what comes out."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model version says of itself."""

    flavor: str
    """`sklearn`."""
    task: Literal["classification", "regression"]
    signature: Signature
    classes: list[str] = []
    """Names of the classes in the order of the probabilities; the last is the positive one of two."""
    example: dict[str, list[Any]] = {}
    """A few rows by column, with which a process warms up and a reader learns."""
    environment: dict[str, str] = {}
    """Versions of Python and of the packages that made it."""


class ForeignManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a version that another tool's client made: it is kept, shown and handed out, never loaded here."""

    format: Literal["mlflow"]
    registration: str
    """Id of its registration: the same files registered again are another version."""
    source: str
    """Where it was registered from, as the client said."""
    files_at: str
    """Where that client reads its files."""
    model_id: str = ""
    """The logged model that it is."""


def is_foreign(manifest: dict[str, Any]) -> bool:
    """Tell whether another tool's client made it, so that we neither load nor serve it."""
    return "format" in manifest


def quarantined(files: list[FileEntry]) -> list[str]:
    """Return the files that would run code when loaded; a version with any is never loaded."""
    return [entry.path for entry in files if PurePosixPath(entry.path).suffix.lower() in _PICKLED]


def manifest_of(manifest: dict[str, Any]) -> ModelManifest:
    """Return the typed manifest; raise BadInput that names the field, and for a model that is never loaded here."""
    if is_foreign(manifest):
        raise BadInput(
            f"This model was logged with {manifest['format']}'s client; Gimbal keeps it and does not run it.",
            where="manifest.format",
            todo="Load it with that client, or log it with gimbal.log_model.",
        )
    try:
        return msgspec.convert(manifest, ModelManifest)
    except msgspec.ValidationError as problem:
        raise BadInput(
            f"This is not the manifest of a model: {problem}.", where="manifest", todo="Use gimbal.log_model."
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    if is_foreign(manifest):
        _check_foreign(manifest)
        return
    typed = manifest_of(manifest)
    if not files:
        raise BadInput("A model version needs its files.", where="files", todo="Upload them first.")
    names = [spec.name for spec in typed.signature.inputs]
    if not names or len(set(names)) != len(names):
        raise BadInput("The inputs of a signature are named, each once.", where="manifest.signature", todo="Mend it.")


def _check_foreign(manifest: dict[str, Any]) -> None:
    try:
        msgspec.convert(manifest, ForeignManifest)
    except msgspec.ValidationError as problem:
        raise BadInput(
            f"This is not the manifest of a model: {problem}.", where="manifest", todo="Use mlflow.register_model."
        ) from None


register_kind(AssetKind(name="model", title="Models", ring="predictive", check=_check, template="flavors/version.html"))
