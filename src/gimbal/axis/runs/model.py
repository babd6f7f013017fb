"""Records of runs and the rules for what may be logged.

A metric may be NaN or infinite: that is a finding (a loss that blew up) and is kept as such. JSON has no such numbers,
so on the wire they are the texts "NaN", "Infinity" and "-Infinity", which Python's `float()` reads.
"""

import math
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from gimbal.kernel.errors import BadInput, TooLarge
from gimbal.kernel.events import Event
from gimbal.kernel.refs import ResolvedRef

MAX_NAME = 250
MAX_PARAM_BYTES = 16_384
MAX_TAG_BYTES = 16_384
MAX_TAGS = 500

RunStatus = Literal["running", "finished", "failed", "killed"]
EndStatus = Literal["finished", "failed", "killed"]
MetricValue = float | Literal["NaN", "Infinity", "-Infinity"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]


def to_wire(value: float) -> MetricValue:
    """Return a metric value as JSON can carry it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One tracked computation."""

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
    error: str = ""
    """Why it failed, as its sender said."""
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
    id: str | None = None
    """UUIDv7 chosen by the sender, so that a repeated request makes one run."""


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


class LogRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to log, all in one request."""

    params: dict[str, Any] = {}
    """Parameters: any JSON value. One that is there already must have the same value."""
    tags: dict[str, str] = {}
    """Tags; a tag may change."""
    metrics: list[LogMetric] = []
    """Metric points, in any order."""
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
    parts = path.split("/")
    unsafe = any(part in {"", ".", ".."} for part in parts) or any(ord(c) < 32 or c == "\\" for c in path)
    if unsafe or len(path) > 1_000:
        raise BadInput(
            f"{path[:80]!r} is not a path inside a run.",
            where="path",
            kept="nothing",
            todo="Give a relative path with '/', such as plots/roc.png.",
        )
    return path
