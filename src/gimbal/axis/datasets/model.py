"""What a dataset version says of itself: schema, rows and a profile per column."""

from typing import Any

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, Version, register_kind
from gimbal.kernel.errors import BadInput

DATA_FILE = "data.parquet"
MEDIA_TYPE = "application/vnd.apache.parquet"
MAX_COLUMNS = 1_000
# The points of the distribution that a profile keeps, by which drift of a column can be seen at a glance.
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class ColumnSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column."""

    name: str
    type: str
    """Arrow's name of the type: `int64`, `double`, `string`, `timestamp[us, tz=UTC]` …"""
    nullable: bool
    """Whether the column may have missing values."""


class CategoryCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a value stands in a column."""

    value: str
    """The value as text, at most 100 characters."""
    count: int


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is in one column. Numbers describe the finite values only; null means there are none to describe."""

    name: str
    count: int
    """Rows with a value."""
    missing: int
    """Rows without one: null, or NaN in a column of floats."""
    distinct: int | None
    """How many different values there are, exact; null for columns of lists and records, where nobody counted."""
    infinite: int = 0
    """Values that are +inf or -inf; they are counted, not averaged."""
    min: float | str | None = None
    """Smallest value; text for times (ISO 8601)."""
    max: float | str | None = None
    """Largest value."""
    mean: float | None = None
    std: float | None = None
    """Standard deviation of the sample (n - 1)."""
    quantiles: dict[str, float] = {}
    """Linear-interpolated quantiles by probability: `0.5` is the median."""
    top: list[CategoryCount] = []
    """The most frequent values of a column of text, booleans or few integers, most frequent first."""


class DatasetManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of a version of kind `dataset`."""

    format: str
    """`parquet`."""
    rows: int
    schema: list[ColumnSchema]
    profile: list[ColumnProfile]

    def column(self, name: str) -> ColumnProfile | None:
        """Return the profile of one column, or None."""
        return next((row for row in self.profile if row.name == name), None)


class DatasetView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a dataset, as `datasets.show` gives it."""

    ref: str
    """The resolved reference: `dataset:flights/train@v1`."""
    digest: str
    bytes: int
    """Size of the Parquet file."""
    version: Version
    manifest: DatasetManifest


def manifest_of(version: Version) -> DatasetManifest:
    """Return the typed manifest of a dataset version; raise BadInput for a version of another kind."""
    if version.kind != "dataset":
        raise BadInput(f"{version.ref} is not a dataset.", where="ref", todo="Give one like dataset:flights/train@v1.")
    return msgspec.convert(version.manifest, DatasetManifest)


def check_manifest(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    """Raise BadInput when a version of kind `dataset` could not be read as one later."""
    try:
        typed = msgspec.convert(manifest, DatasetManifest)
    except msgspec.ValidationError as problem:
        raise BadInput(
            f"This is not the manifest of a dataset: {problem}.", where="manifest", todo="Use datasets.create."
        ) from None
    if typed.format != "parquet" or [f.path for f in files] != [DATA_FILE]:
        raise BadInput(
            f"A dataset has exactly one file, {DATA_FILE}, in Parquet.", where="files", todo="Use datasets.create."
        )


register_kind(
    AssetKind(name="dataset", title="Datasets", ring="axis", check=check_manifest, template="datasets/version.html")
)
