"""What building a suite from traces takes and returns."""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.evals.model import MOST_REPEATS, CreateSuite, Example
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.refs import ResolvedRef

JOB = "evals.from_traces"
MOST_EXAMPLES = 10_000
MOST_PARTS = 500
"""Parts that a report lists; the catalog keeps it with its job."""
MOST_SAMPLES, MOST_SAMPLED = 10, 200_000
"""Examples that a report shows, and bytes that they may have together."""
OWN_FEATURES = frozenset({"evaluation", "scoring", "optimisation", "gimbal.check"})
"""Features of the calls that Gimbal itself makes: while it evaluates, judges or writes suites, improves prompts, tries out a
provider."""


class Drop(enum.StrEnum):
    """Why a trace is no example, as results count it."""

    EVALUATION = "evaluation"
    """Gimbal asked while it evaluated, judged, wrote or improved, and nobody else."""
    NO_INPUT = "no_input"
    """No span that is asked for says what went in."""
    UNREADABLE = "unreadable"
    """What went in is no JSON, or is nested too deeply."""
    TOO_LONG = "too_long"
    """What went in was too long to be kept in the span."""
    MEDIA = "media"
    """An image, a sound or a file belongs to it, which examples cannot hold."""
    REDACTED = "redacted"
    """The project's redaction took out a whole text of it."""
    PRESENT = "present"
    """The suite has it already."""
    DUPLICATE = "duplicate"
    """Another example has the same input."""
    NEAR_DUPLICATE = "near_duplicate"
    """Another example has nearly the same input."""


class TraceSelection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which traces are meant, as `traces.list` takes it."""

    since: datetime | None = None
    """Started at or after this."""
    until: datetime | None = None
    """Started before this."""
    feature: str | None = None
    """Only of this feature. What Gimbal itself asked is left out unless this says so: `evaluation`, `scoring` …"""
    ref: str | None = None
    """Only traces that used prompt:help/answer@v2, or any prompt:help/answer."""
    model: str | None = None
    """Only traces with a call of this model."""
    status: str | None = None
    """Only traces that ended so: error when any span failed, else the root's ok, cancelled or unset."""
    kind: str | None = None
    """Only roots of this kind: llm, chain, agent …"""
    text: str | None = None
    """Only roots whose name contains this."""
    user: str | None = None
    """Only of this end user."""
    session: str | None = None
    """Only of this session."""
    provider: str | None = None
    """Only traces of this provider."""
    endpoint: str | None = None
    """Only traces of this endpoint."""
    api_key: str | None = None
    """Only traces of calls with the API key of this id."""
    tag: list[str] = []
    """Only traces with this tag, team:search, or any of a key: team."""
    attribute: list[str] = []
    """Only traces with this attribute, as key:value."""
    search: str | None = None
    """Only traces with all of these words in input, output, documents or errors."""
    min_ms: float | None = None
    """Only traces that took at least so long."""
    max_ms: float | None = None
    """Only traces that took at most so long."""
    min_usd: Decimal | None = None
    """Only traces that are known to cost at least so much."""
    max_usd: Decimal | None = None
    """Only traces that are known to cost at most so much."""
    score: list[str] = []
    """Only traces with this score: helpful:<0.5, tone:rude, helpful:unscored, or helpful for any value."""
    scored_by: str | None = None
    """Only scores by human, judge, code or user; alone: any score by those."""


class FromTraces(TraceSelection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite to make of traces."""

    name: str
    """Name of the suite: `help/real`."""
    add: bool = False
    """Whether the examples are added to the suite's newest version; otherwise they are all that its next one has."""
    dry_run: bool = False
    """Whether only to tell what would come, and store nothing."""
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_EXAMPLES)] = 100
    """How many examples at most."""
    by: str = ""
    """What they are dealt out by: feature, model, kind, status, hour, slice, score:NAME, attribute:KEY or tag:KEY."""
    allot: Literal["proportional", "equal"] = "proportional"
    """Whether each part of `by` gets as large a share as it has of the traces, or each the same."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """The same seed draws the same traces; another one others."""
    span: str = ""
    """Which span is the example: root, a kind (llm, chain, agent, tool …: the first of it), or name=… for a name; empty for
    the root where it says what went in, else the first model call that does."""
    answers: bool = False
    """Whether every recorded answer becomes the expected one."""
    good: list[str] = []
    """The recorded answer becomes the expected one where the trace has all of these scores, like `score`: helpful:>=1."""
    correction: list[str] = []
    """Names of scores whose explanation, else label, is a better answer: it becomes the expected one. So does a text
    `correction` in a score's metadata, and what MLflow's clients say is expected, without being named."""
    slice: str = ""
    """What becomes the examples' slice: like `by`."""
    cluster: Literal["session", "user", "none"] = "session"
    """Whose examples share a cluster: those of a session, else of a user; of a user; or nobody's."""
    near: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    """From which similarity on the inputs of two examples are the same, and one is left out; 1 for exact ones only."""
    keep: list[str] = []
    """Personal data that stays, by detector or family: contact, payment, national_id, email … Secrets never stay."""
    scorers: list[str | ScorerSetting] = []
    """The scorers of the suite; empty for those that it has."""
    repeats: Annotated[int, msgspec.Meta(ge=1, le=MOST_REPEATS)] | None = None
    """How often each example is asked; null for as often as the suite says, or once."""
    task: str = ""
    """What to call where nobody says otherwise; empty for what the suite says."""
    note: str = ""
    """A remark for people; empty for one that says what was drawn."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the traces, where they are dealt out by something."""

    name: str
    """Empty for the traces that have no value there."""
    traces: int
    """Of those that were looked at."""
    examples: int
    """That were taken."""


class SuiteDraw(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun."""

    newest: ResolvedRef | None
    """The newest version that the suite had then; null where it had none."""
    job_id: str
    """The job that carries it out, whose result tells what came of it."""


class RunFromTraces(msgspec.Struct, frozen=True, kw_only=True):
    """What the job is given."""

    body: FromTraces


class BuiltSuite(msgspec.Struct, frozen=True, kw_only=True):
    """What came of traces; the result of the job."""

    ref: ResolvedRef | None
    """The suite; null where nothing was stored."""
    examples: int
    """That were taken."""
    expected: int
    """Of those, how many have an expected answer."""
    looked_at: int
    """Traces that fit and among which was drawn."""
    share: float
    """Which share of all that fit these are: below 1 where there were very many, then they were drawn at random."""
    read: int
    """Traces that were read; the others were not needed."""
    dropped: dict[str, int]
    """Traces that are no examples, by reason."""
    replaced: dict[str, int]
    """How many findings of personal data and secrets placeholders stand for, by kind, in the examples that were taken."""
    parts: list[Part]
    """By name; of `by` only. Of very many those of the most traces."""
    more_parts: int
    """Parts that are not listed."""
    samples: list[Example]
    """Up to ten of the examples, as they are stored; of long ones as many as 200,000 bytes hold."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """An example with what was learned while it was made."""

    example: Example
    part: str
    replaced: dict[str, int]
    """Findings in it that were replaced, by kind."""


class DrawnSuite(msgspec.Struct, frozen=True, kw_only=True):
    """A suite that is drawn and not stored yet; a step of the job, so that a later attempt stores this one and no other."""

    suite: CreateSuite
    """Without its examples."""
    examples: str
    """Digest of the blob that has them."""
    made: dict[str, Any]
    """How they were made, for the version's manifest."""
    told: BuiltSuite
    """What is told of them, without samples."""
