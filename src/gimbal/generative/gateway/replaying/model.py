"""What a replay takes and tells."""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.evals.model import EvaluationOptions, EvaluationRun
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.refs import ResolvedRef

MOST_SAMPLE = 2_000


class Unused(enum.StrEnum):
    """Why a captured call cannot be asked again, as plans count it."""

    NO_VARIABLES = "no_variables"
    """Nobody noted what the prompt was filled with."""
    UNREADABLE = "unreadable"
    """What was noted is no JSON, or is nested too deeply."""
    TOO_LONG = "too_long"
    """What went in was too long to be kept in the span."""
    MEDIA = "media"
    """An image, a sound or a file belongs to it, which suites cannot hold."""
    REDACTED = "redacted"
    """The project's redaction took out a whole text of it."""


class ReplayRequest(EvaluationOptions, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to ask again, and of whom."""

    candidate: str
    """The version to try: `prompt:support/answer@v8`."""
    since: datetime
    """Calls from then on."""
    until: datetime | None = None
    """Calls before then; null for now."""
    sample: Annotated[int, msgspec.Meta(ge=1, le=MOST_SAMPLE)] = 200
    """How many calls at most; of more a random sample is drawn."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """The same seed draws the same calls; another one others."""
    of: str = ""
    """Whose calls: another prompt, or one version of it; empty for all versions of the candidate's."""
    feature: str | None = None
    """Only calls of this feature."""
    user: str | None = None
    """Only of this end user."""
    score: list[str] = msgspec.field(default_factory=list)
    """Only calls whose trace has this score: helpful:<0.5, helpful:unscored."""
    scorers: list[str | ScorerSetting] = msgspec.field(default_factory=list)
    """What judges both; empty for length, latency, cost, whether it refuses where the answer of then did, and
    the form of the answer where the candidate has one."""


class Answerer(msgspec.Struct, frozen=True, kw_only=True):
    """One version that answered captured calls."""

    ref: str
    calls: int


class ReplayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay would ask, before anything is asked or stored."""

    candidate: ResolvedRef
    traces: int
    """That used the prompt in that time."""
    share: float
    """Which share of all they are: below 1 where there were very many, then they were drawn at random."""
    calls: int
    """Captured calls that would be asked again."""
    clusters: int
    """Sessions, else traces, that they are of."""
    unused: dict[str, int]
    """Captured calls that cannot be asked again, by reason."""
    unfit: dict[str, int]
    """Calls among those asked again that the candidate cannot be filled with, by reason: they will count as missing."""
    answered_by: list[Answerer]
    """Versions that answered them, the most frequent first."""
    spent: Decimal | None
    """US dollars that the captured answers cost; null when not one is known."""
    cost: Decimal | None
    """US dollars of asking again, about; null when unknown."""
    most: Decimal | None
    """US dollars that it can cost at most; null when unknown."""
    unpriced: str
    """Why the cost is unknown."""
    judges: list[str]
    """Models and embedders that scorers ask; what they are asked is in neither `calls` nor `cost`."""
    judge_calls: int
    """Calls of them for the answers of then and those of the candidate, about."""
    judge_cost: Decimal | None
    """US dollars of that, about; null when unknown. As many questions are assumed as the expectation lists, else five an
    answer, with a page of text each."""
    judge_unpriced: str
    """Why that is unknown."""
    detectable: float | None
    """Smallest difference of a share that so many calls find with 80 % power; null with fewer than two clusters."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay under way: two evaluations on one suite."""

    suite: ResolvedRef
    before: EvaluationRun
    """The answers that were given; a job judges them."""
    after: EvaluationRun
    """The candidate's."""
