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


class Missing(enum.StrEnum):
    """Why there is no value: never dropped, never 0; a summary counts each and says what they could change."""

    NO_EXPECTATION = "no_expectation"
    """The example does not say what was expected."""
    NO_OUTPUT = "no_output"
    """The output has not what the scorer reads."""
    ERROR = "error"
    """The call failed."""
    REFUSED = "refused"
    """The model would not answer."""
    TIMED_OUT = "timed_out"
    UNPARSEABLE = "unparseable"
    """The output is not in the form that was asked for."""
    JUDGE_FAILED = "judge_failed"
    """Whoever was asked for the judgement failed, or answered something else."""
    NOT_JUDGED = "not_judged"
    """Judging was cut off, by a cap or by who cancelled; it is done when the evaluation goes on."""
    SCORER_ERROR = "scorer_error"
    """The scorer raised."""
    OUT_OF_RANGE = "out_of_range"
    """The scorer gave a number outside the range of its card."""
    NOT_ALLOWED = "not_allowed"
    """A setting of the installation forbids it."""
    NEEDS_EXTRA = "needs_extra"
    """A library that the scorer needs is not installed."""


class ScoreValue(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer says of one output."""

    value: float | None
    """Within the range of the scorer's card (usually 0 to 1), or null when it could not be said."""
    label: str = ""
    """A word for it, where there is one."""
    explanation: str = ""
    """Why, for people."""
    missing: str = ""
    """Why there is no value: one of Missing, or a word of a scorer's own."""


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
        """Return the judgement. `output` has what the target gave (`text`, `sources`, `value` …) and its `input`."""
        ...


SCORERS: Registry[Any] = Registry("scorers")
"""A Scorer, or one with a card: see `scorer`."""
