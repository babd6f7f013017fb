"""Records of runs and the rules for what may be logged.

A metric may be NaN or infinite: that is a finding (a loss that blew up) and is kept as such. JSON has no such numbers,
so on the wire they are the texts "NaN", "Infinity" and "-Infinity", which Python's `float()` reads.
"""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.runs.artifacts.paths import safe_path
from gimbal.kernel.errors import BadInput, TooLarge
from gimbal.kernel.events import Event
from gimbal.kernel.refs import ResolvedRef

MAX_NAME = 250
MAX_PARAM_BYTES = 65_536
MAX_TAG_BYTES = 65_536
MAX_TAGS = 500
MOST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

RunStatus = Literal["scheduled", "running", "finished", "failed", "killed", "dead"]
"""`dead`: its sender was not heard of any more."""
EndStatus = Literal["finished", "failed", "killed"]
MetricValue = float | Literal["NaN", "Infinity", "-Infinity"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]


def to_wire(value: float) -> MetricValue:
    """Return a metric value as JSON can carry it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


ENVIRONMENT_FILE = "environment.json"
"""The file of a run with what it ran in: machine, packages, command, commit."""
DIFF_FILE = "code.diff"
"""The file of a run with what was changed since the commit, as git writes it."""
COMMIT_TAG, BRANCH_TAG, DIRTY_TAG = "git.commit", "git.branch", "git.dirty"
"""Tags of a run with the version of its code; dirty is `true` or `false`."""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One tracked computation, without what was logged in it."""

    id: str
    project: str
    name: str
    experiment: str
    """What it belongs to: runs of one experiment are compared with each other."""
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    """Null while it runs."""
    created_by: str
    stage: Literal["active", "deleted"] = "active"
    """A deleted run is out of lists until it is restored."""
    user: str = ""
    """Who ran it, as its sender said."""
    updated_at: datetime | None = None
    """When its status, name or note changed last."""
    parent_id: str | None = None
    """The run that it is a part of."""
    group: str = ""
    """What runs share that are one study, sweep or distributed job."""
    error: str = ""
    """Why it failed, as its sender said."""
    note: str = ""
    """What people wrote about it, in Markdown."""


class Run(RunInfo, frozen=True, kw_only=True):
    """One tracked computation, with what was logged in it."""

    params: dict[str, Any] = {}
    """What it was given; a parameter never changes."""
    tags: dict[str, str] = {}
    metrics: dict[str, MetricValue] = {}
    """The newest value of each metric: of the highest step, then the latest."""
    inputs: list[ResolvedRef] = []
    """Versions that it read."""
    outputs: list[ResolvedRef] = []
    """Versions that it made."""


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a metric."""

    value: MetricValue
    step: int
    at: datetime


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a run left."""

    path: str
    digest: str
    size: int
    """Bytes."""
    media_type: str
    at: datetime


class DeletedArtifacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    files: int
    """How many files."""


class CreateRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run that starts."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    """What people call it; made up from the time when empty."""
    experiment: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = "default"
    """What it belongs to."""
    params: dict[str, Any] = {}
    """First parameters."""
    tags: dict[str, str] = {}
    """First tags."""
    inputs: list[str] = []
    """References of versions that it reads: `dataset:flights/train@v1`."""
    started_at: datetime | None = None
    """When it started, if not now; for runs that are sent later."""
    user: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    """Who runs it; whoever asks when empty."""
    parent_id: str | None = None
    """Id of the run that it is a part of."""
    group: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    """What runs share that are one study, sweep or distributed job."""
    note: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    """What there is to say about it, in Markdown."""
    id: str | None = None
    """UUIDv7 chosen by the sender, so that a repeated request makes one run."""
    beat_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """The sender promises to be heard of so often, in seconds; a run that is silent for three times that is dead."""


class LogMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric point to log."""

    name: Name
    """Name of the metric."""
    value: MetricValue
    """A number, or "NaN", "Infinity", "-Infinity"."""
    step: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)] = 0
    """Place in the run: epoch, iteration, batch."""
    at: datetime | None = None
    """When it was measured; now when left out."""


class MetricColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many metric points, column by column: the lists but `names` have one entry per point."""

    names: list[Name]
    """Names of the metrics, each once."""
    index: list[Annotated[int, msgspec.Meta(ge=0)]]
    """Of each point, the place of its name in `names`, counted from 0."""
    steps: list[Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]]
    """Places in the run."""
    times: list[Annotated[int, msgspec.Meta(ge=0, le=MOST_US)]]
    """When they were measured, in microseconds since 1970."""
    values: list[MetricValue]
    """Numbers, or "NaN", "Infinity", "-Infinity"."""


class LogRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to log, all in one request."""

    params: dict[str, Any] = {}
    """Parameters: any JSON value. One that is there already must have the same value."""
    tags: dict[str, str] = {}
    """Tags; a tag may change."""
    metrics: list[LogMetric] = []
    """Metric points, in any order."""
    columns: MetricColumns | None = None
    """Metric points as columns: smaller and faster where there are many."""
    inputs: list[str] = []
    """References of versions that the run reads."""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored, durably."""

    params: int
    tags: int
    metrics: int
    inputs: list[str]
    """The references as they were resolved."""


class FinishRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run ended."""

    status: EndStatus = "finished"
    """How it ended."""
    error: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    """Why, when it failed."""
    ended_at: datetime | None = None
    """When it ended, if not now."""


class BeatRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the sender of a run is there."""

    every_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """How often it promises to be heard of, in seconds; as before when left out."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """How the run stands, for its sender: somebody may have ended or deleted it."""

    status: RunStatus
    stage: Literal["active", "deleted"]


class UpdateRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be changed of a run; what is left out stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)] | None = None
    """Its new name."""
    note: Annotated[str, msgspec.Meta(max_length=100_000)] | None = None
    """What there is to say about it, in Markdown."""
    status: RunStatus | None = None
    """`running` goes on with a run that had ended."""
    ended_at: datetime | None = None
    """When it ended, with a status that says so; now when left out."""
    error: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    """Why it failed."""
    tags: dict[str, str | None] = {}
    """Tags to set; null takes one away."""


class RunFinished(Event, frozen=True, kw_only=True):
    """A run has ended."""

    run_id: str
    status: str


def check_values(params: dict[str, Any], tags: dict[str, str], *, most_params: int) -> None:
    """Raise BadInput or TooLarge for a name or value that cannot be kept, naming it."""
    for where, values, most, limit in (
        ("params", params, most_params, MAX_PARAM_BYTES),
        ("tags", tags, MAX_TAGS, MAX_TAG_BYTES),
    ):
        if len(values) > most:
            raise TooLarge(
                f"{len(values)} {where} are too many; {most} is the most.",
                where=where,
                kept="nothing",
                todo="Put long lists into an artifact.",
            )
        for name, value in values.items():
            if not name or len(name) > MAX_NAME:
                raise BadInput(
                    f"A name has 1 to {MAX_NAME} characters, not {len(name)}.",
                    where=f"{where}.{name[:40]}",
                    kept="nothing",
                    todo="Shorten it.",
                )
            size = len(msgspec.json.encode(value))
            if size > limit:
                raise TooLarge(
                    f"The value has {size} bytes; {limit} is the most.",
                    where=f"{where}.{name}",
                    kept="nothing",
                    todo="Store it as an artifact.",
                )


def check_path(path: str) -> str:
    """Return the path of an artifact when it stays inside the run; raise BadInput otherwise."""
    return safe_path(path)
