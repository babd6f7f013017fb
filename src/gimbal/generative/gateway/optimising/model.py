"""Records of optimisations: what is asked for, what it would cost, the candidates, and what came of it."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.evals.verdicts import ScorerComparison
from gimbal.engines.stats.model import Estimate
from gimbal.generative.prompts.model import PromptChange, PromptMessage
from gimbal.kernel.refs import ResolvedRef

Method = Literal["few_shot", "reflection"]
MOST_ROUNDS = 200
CANDIDATE = "candidate"
"""The alias of a version that was shown to be better."""


class WeightedMark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scorer that is to be improved."""

    scorer: str
    """As the suite calls it."""
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0
    """How much it counts beside the others."""


class OptimisePrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to improve a prompt by, and what that may cost."""

    suite: str
    """Reference of the suite: `suite:help/questions`."""
    marks: list[WeightedMark] = []
    """Scorers of the suite to improve; without any its first that gives a mark."""
    methods: list[Method] = msgspec.field(default_factory=lambda: ["few_shot", "reflection"])
    """`few_shot` puts examples before the question, `reflection` rewrites instructions from what failed."""
    reflector: str = ""
    """Model that writes instructions; the prompt's own without one."""
    max_cost: Decimal | None = None
    """US dollars that all of it may cost; needed unless every call is free."""
    rounds: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROUNDS)] = 12
    """Candidates that are tried, at most."""
    max_calls: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Answers and reflections that the search may take; null for as many as the rounds need."""
    minibatch: Annotated[int, msgspec.Meta(ge=2, le=32)] = 4
    """Examples that a reflection looks at."""
    validation: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """Share of the suite's clusters that is held out for the proof."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """Of the split and of every choice by chance."""
    margin: Annotated[float, msgspec.Meta(ge=0)] = 0.02
    """Differences within ± this count as equivalent."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Calls under way at the same time."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0
    """Seconds after which a call counts as timed out."""


class RunOptimisation(msgspec.Struct, frozen=True, kw_only=True):
    """What the job `prompts.optimise` is given."""

    optimisation_id: str


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Which examples are for what; no cluster is in two parts."""

    train: list[str]
    """Ids of the examples that candidates are made and chosen by."""
    shots: list[str]
    """Of the training part too, but only to be shown as examples; nothing is scored on them."""
    validation: list[str]
    """Held out: only the winner and the start answer them, once, at the end."""
    clusters: dict[str, int]
    """How many independent groups each part has."""


class OptimisationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an optimisation would do, before anything is asked."""

    start: ResolvedRef
    suite: ResolvedRef
    marks: list[WeightedMark]
    reflector: str
    """Model that writes instructions; empty where none is asked."""
    train: int
    shots: int
    validation: int
    clusters: dict[str, int]
    rounds: int
    calls: int
    """Answers and reflections, at most."""
    cost: Decimal
    """US dollars of that many calls, about."""
    most: Decimal | None
    """US dollars that they can cost at most: the cap, where there is one."""
    proof: Decimal
    """Of it about so much is kept for the comparison at the end."""
    detectable: float | None
    """Smallest difference of a share that the held-out part finds with 80 % power, if answers of two versions agree as
    half correlated ones do; null with fewer than two groups."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt that was tried on the training part."""

    number: int
    """In the order in which they were found; 0 is the start."""
    digest: str
    """Of the version that it would be, or is."""
    method: Literal["start", "few_shot", "reflection"]
    parents: list[int] = []
    """What it was made of."""
    messages: list[PromptMessage]
    """Empty where retention or an erasure took them."""
    shots: list[str] = []
    """Ids of the examples that it shows."""
    mark: Estimate
    """Of the training part; chosen among many, so it promises too much."""
    front: int = 0
    """Examples that it is best at, which is how likely it is a parent; 0 where others cover all of them."""
    cost: Decimal | None = None
    """US dollars of the answers that were asked for it; null when one of them is not known."""
    text: str
    """Its file; empty where it was taken."""


class MarkComparison(ScorerComparison, frozen=True, kw_only=True):
    """The mark that was to be improved, of all scorers together, on the held-out part.

    Between 0 and 1, the more the better. An answer without a value counts as the worst: what refuses gains nothing.
    """


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The winner against the start, on examples that neither was made by."""

    verdict: str
    """`better`, `worse`, `equivalent` or `underpowered`; worse also where one of several scorers says so."""
    mark: MarkComparison
    scorers: list[ScorerComparison]
    changes: list[PromptChange] = []
    """What the winner means that the start does not."""
    text: str | None = ""
    """Unified diff of their files; null when they are too long to be compared line by line, or were taken."""


class Optimisation(msgspec.Struct, frozen=True, kw_only=True):
    """One search for a better version of a prompt."""

    id: str
    start: ResolvedRef
    suite: ResolvedRef
    status: str
    """`running`, `done`, `failed`, `cancelled`, or `stopped` before it could say anything."""
    options: OptimisePrompt
    marks: list[WeightedMark]
    reflector: str = ""
    split: Split
    rounds: int = 0
    """Rounds that are done."""
    phase: Literal["search", "proof", "end"] = "search"
    calls: int = 0
    """Answers and reflections that the search has taken, those of earlier runs among them."""
    spent: Decimal = Decimal(0)
    """US dollars of the calls that it made."""
    refused: dict[str, int] = {}
    """Proposals that were no candidates, by reason."""
    start_mark: float | None = None
    """Of the start on the training part."""
    best_mark: float | None = None
    """Of the best candidate on the training part."""
    chosen: int | None = None
    """Number of the winner; null while there is none, or where none was better on the training part."""
    proof: Proof | None = None
    winner: ResolvedRef | None = None
    """The version that it became; null where it was worse."""
    alias: str = ""
    """What became of the alias `candidate`."""
    outcome: str = ""
    """What came of it, in a sentence."""
    job_id: str | None = None
    started_at: datetime
    started_by: str
    finished_at: datetime | None = None
    error: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One answered example, as a reflector sees it."""

    example: str
    """Id; nobody is shown it."""
    input: dict[str, Any]
    expected: dict[str, Any]
    answer: str
    """The answer, or what went wrong."""
    mark: float
    """From 0 to 1."""
    why: list[str]
    """What scorers say of it."""
