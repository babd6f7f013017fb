"""Records of imports: runs as another tracker has them, what became of each, and fingerprints of what is kept."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.runs.experiments.model import ExperimentName, Stage
from gimbal.axis.runs.model import MAX_NAME, MetricColumns, MetricValue, Name, RunStatus

ORIGIN_TAG = "gimbal.import.origin"
"""Where a run came from: `mlflow:<its id there>`."""
DIGEST_TAG = "gimbal.import.digest"
"""Digest of what it was there, set when all of it has come."""
OWN_TAGS = frozenset({ORIGIN_TAG, DIGEST_TAG})
MOST_RUNS = 1000
Short = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Origin = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class ImportedDataset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset that a run read, as its sender described it."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = {}
    """What it was read for."""


class ImportedExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment as it was elsewhere; one of this name that is here keeps what it has."""

    name: ExperimentName
    stage: Stage = "active"
    created_at: datetime | None = None
    """Now when left out."""
    updated_at: datetime | None = None
    """When it was made, when left out."""
    tags: dict[str, str] = {}


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run as it was elsewhere, or a part of one: the same again adds what is new."""

    id: str
    """UUID; the other tracker's own, or one derived from it."""
    origin: Origin
    """What it was there: `mlflow:<id>`. Runs of other origins are not touched."""
    name: Name
    experiment: ExperimentName
    status: RunStatus
    stage: Stage = "active"
    started_at: datetime
    ended_at: datetime | None = None
    user: Short = ""
    parent_id: str | None = None
    """The run that it is a part of; it may come later."""
    group: Short = ""
    note: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    error: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    columns: MetricColumns | None = None
    """Points of its metrics."""
    datasets: list[ImportedDataset] = []


class ImportedModelMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest point of a metric of a logged model."""

    name: Name
    value: MetricValue
    step: int = 0
    at: datetime
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""


class ImportedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that a run logged elsewhere, with its id; its files come as artifacts."""

    id: str
    """`m-` and 32 hex digits."""
    name: Name
    experiment: ExperimentName
    status: Literal["pending", "ready", "failed"] = "ready"
    model_type: Short = ""
    source_run_id: str | None = None
    created_at: datetime
    updated_at: datetime
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[ImportedModelMetric] = []
    made_by: dict[str, int] = {}
    """Runs that have it among their outputs, with the step."""
    read_by: list[str] = []
    """Runs that have it among their inputs."""


class ImportRuns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be brought over."""

    experiments: list[ImportedExperiment] = []
    """Experiments, with or without runs."""
    runs: Annotated[list[ImportedRun], msgspec.Meta(max_length=MOST_RUNS)] = []
    """Whole runs, or parts of large ones."""
    models: Annotated[list[ImportedModel], msgspec.Meta(max_length=MOST_RUNS)] = []
    """Logged models; runs that they name have come before."""
    done: dict[str, str] = {}
    """Runs of which everything has come now, each with the digest of what it was there."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run or model."""

    id: str
    outcome: Literal["created", "added", "refused"]
    """`added`: it was there, and has what is new."""
    problem: str = ""
    """Why it was refused; nothing of it was stored then."""


class AskFingerprints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs."""

    ids: Annotated[list[str], msgspec.Meta(max_length=MOST_RUNS)]
    """Their ids; those that are not here are left out of the answer."""
    content: bool = False
    """Whether to count and digest what is kept of each, which reads all of it."""


class Aspect(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a run: how many entries it has, and the digest of all."""

    count: int
    digest: str


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """A run, for comparison with where it came from."""

    id: str
    origin: str
    """Empty for one that was not imported."""
    digest: str
    """What the import noted when all of it had come; empty while it has not."""
    stage: Stage = "active"
    """Whether it was deleted here."""
    aspects: dict[str, Aspect] = {}
    """`run` (its attributes), `params`, `tags`, `points`, `datasets`, `files`, when they were asked for."""
