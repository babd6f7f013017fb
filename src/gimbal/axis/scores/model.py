"""Records of scores and the protocol of scorers. A score that could not be given is missing with a reason, never 0."""

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from gimbal.kernel.events import Event
from gimbal.kernel.plugins import Registry


class ScoreTarget(enum.StrEnum):
    """What was judged."""

    SPAN = "span"
    TRACE = "trace"
    SESSION = "session"
    EXAMPLE = "example"
    RUN = "run"
    PREDICTION = "prediction"


class ScoreSource(enum.StrEnum):
    """Who judged."""

    CODE = "code"
    JUDGE = "judge"
    HUMAN = "human"
    USER = "user"


class ScoreValue(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer says of one output."""

    value: float | None
    """From 0 to 1, or null when it could not be said."""
    label: str = ""
    """A word for it, where there is one."""
    explanation: str = ""
    """Why, for people."""
    missing: str = ""
    """Why there is no value: `no_expectation`, `no_output`, `error` …"""


class NewScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One score to record."""

    target_kind: ScoreTarget
    """What was judged."""
    target_id: str
    """Its id: trace id, span id, run id, prediction id …"""
    trace_id: str = ""
    """Of a span: its trace, because span ids are unique in theirs only."""
    name: str
    """What was judged of it: `helpful`, `exact_match` …"""
    value: float | None = None
    """A finite number; null with `label` or `missing`."""
    label: str = ""
    """A word instead of or beside the number."""
    explanation: str = ""
    """Why."""
    source: ScoreSource = ScoreSource.CODE
    """Who judged."""
    missing: str = ""
    """Why there is no value."""
    metadata: dict[str, Any] = {}
    """What else is known of it; at most 20,000 characters of JSON."""
    id: str | None = None
    """Give the same id again to correct a score; a new one is made otherwise."""


class RecordScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch of scores; all are stored or none."""

    scores: list[NewScore]
    """1 to 10,000 of them."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One stored judgement."""

    id: str
    target_kind: ScoreTarget
    target_id: str
    trace_id: str
    """Of a span: its trace, where whoever judged said so."""
    name: str
    value: float | None
    label: str
    explanation: str
    source: ScoreSource
    author: str
    missing: str
    metadata: dict[str, Any]
    at: datetime


class ScoreRecorded(Event, frozen=True, kw_only=True):
    """Scores were stored."""

    scores: list[Score]


class Scorer(Protocol):
    """Judges one output against what was expected; pure and deterministic where it is code."""

    def __call__(self, expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
        """Return the judgement. `output` has `text` and `sources` where the target gave them."""
        ...


SCORERS: Registry[Scorer] = Registry("scorers")
