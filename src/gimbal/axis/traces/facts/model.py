"""Records of facts, and the names of those that mean something here."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from gimbal.kernel.context import Context

INFO = "info"
"""What whoever sent the trace says of all of it: `EXPERIMENT`, `START_MS` …"""
SPANS = "spans"
"""What came with its spans: `EXPERIMENT`."""
TAG = "tag"
METADATA = "metadata"
RUN = "run"
"""A link; its name is the id of the run."""
PROMPT = "prompt"
"""A link; its name is that of the prompt with its version, its value the version as we refer to it, where it is ours."""

EXPERIMENT, START_MS, DURATION_MS, STATE = "experiment", "start_ms", "duration_ms", "state"
CLIENT_ID, REQUEST, RESPONSE = "client_request_id", "request", "response"

NAME = "mlflow.traceName"
"""The tag that is the name of a trace."""
SESSION, USER, SOURCE_RUN, MODEL_ID = (
    "mlflow.trace.session",
    "mlflow.trace.user",
    "mlflow.sourceRun",
    "mlflow.modelId",
)
"""Metadata that are written on the root span, too."""
OLD_PREVIEWS = ("mlflow.traceInputs", "mlflow.traceOutputs")
"""Metadata in which clients of version 2 send what went in and what came out."""
FIXED = frozenset({"mlflow.trace.spansLocation", "mlflow.artifactLocation"})
"""Tags that tell where things are: they are what they are, whoever sets them."""
MAX_NAME = 250
"""Characters of the name of a tag, or of metadata."""
SENT_TAG = "mlflow.traceTag."
"""Prefix of the attributes by which a root span brings tags along."""
TAGS, REFS = "mlflow.trace.tags", "gimbal.refs"
"""Attributes of the root span with the tags, and with the versions that were used."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is said of a trace; a later one of the same kind and name takes its place."""

    kind: str
    name: str
    value: str = ""
    gone: bool = False
    """Whether it is taken back."""


Facts = Mapping[str, Mapping[str, str]]
"""Of one trace: by kind, then by name."""


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as facts and its root tell it."""

    trace_id: str
    experiment: int
    """Its number; 0 where nobody named one."""
    start_ms: int
    duration_ms: int | None
    """None while it goes on."""
    state: str
    """`OK`, `ERROR`, `IN_PROGRESS`, or what its sender says."""
    name: str
    session_id: str
    user_id: str
    has_spans: bool


class ExperimentIds(Protocol):
    """Knows experiments by the ids that senders of spans name; the face of MLflow does."""

    async def key_of(self, ctx: Context, text: str) -> int:
        """Return the number of the experiment, 0 for that of all others; raise BadInput or NotFound."""
        ...
