"""Records of experiments, which clients know, too."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

DEFAULT = "default"
SHOWN_DEFAULT, DEFAULT_ID = "Default", "0"
"""Under what MLflow's clients know the experiment `default`."""
MAX_EXPERIMENT_NAME = 500
Stage = Literal["active", "deleted"]
ExperimentName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EXPERIMENT_NAME)]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What runs belong to."""

    key: int
    """Number by which clients of MLflow know it."""
    project: str
    name: str
    stage: Stage
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str] = {}
    artifact_location: str = ""
    """Where another tool keeps the files of its runs, as it was told; empty: here."""


class CreateExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment to make."""

    name: ExperimentName
    """Unique in the project, also among deleted ones."""
    tags: dict[str, str] = {}
    """First tags."""
    artifact_location: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    """Where another tool keeps the files of its runs; kept as text, nothing is fetched from there."""


class UpdateExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be changed; what is left out stays."""

    name: ExperimentName | None = None
    """Its new name."""
    tags: dict[str, str | None] = {}
    """Tags to set; null takes one away."""
