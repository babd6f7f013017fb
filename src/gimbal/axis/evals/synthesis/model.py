"""Records of a synthesis: what is asked for, what it would cost, what came of it; and what tells the cost of a call."""

from decimal import Decimal
from typing import Annotated

import msgspec

from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.refs import ResolvedRef

JOB = "evals.synthesise"
SLICE = "synthetic"
SCORER = "token_f1"
MOST_PASSAGES = 2_000
MOST_GIVEN = 4_000_000
"""Characters of passages that are given with the request."""


class Drop:
    """Why what a model wrote is not in the suite."""

    UNPARSEABLE = "unparseable"
    """The answer is not the JSON that was asked for; nothing of it is taken."""
    INCOMPLETE = "incomplete"
    """A question, an answer or its evidence is missing."""
    UNSUPPORTED = "unsupported"
    """The quoted evidence does not stand in the passage."""
    DUPLICATE = "duplicate"
    """A question before it is the same."""
    NEAR_DUPLICATE = "near_duplicate"
    """A question before it is nearly the same."""
    SUPERFLUOUS = "superfluous"
    """More was written than was asked for."""


class Passage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that questions are written from."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """What examples name as their source: `guide.md#3`."""
    text: str
    cluster: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Passages of one document share this: their examples are not independent; the id where it is empty."""


class Synthesise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite to have written."""

    name: str
    """Name of the suite: `help/written`."""
    model: str
    """Who writes: `openai/gpt-5-mini`."""
    passages: list[Passage] = []
    """What to write from; this or `source`."""
    source: str = ""
    """A version to write from: `index:help/docs`, `dataset:…`, or `suite:help/questions`, whose examples are the seeds."""
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_PASSAGES)] = 100
    """How many passages are taken, spread evenly over all."""
    per_passage: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    """How many questions each is asked for."""
    instructions: Annotated[str, msgspec.Meta(max_length=4_000)] = ""
    """What else the model is told: language, audience, difficulty."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    """What the model does by itself where it is null."""
    max_tokens: Annotated[int, msgspec.Meta(ge=64, le=32_000)] = 2_000
    """Tokens that one answer of the model may have."""
    scorers: list[str | ScorerSetting] = []
    """The scorers of the suite; `token_f1` where none is named."""
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    """From which similarity on a question is the same as one before."""
    slice: bool = False
    """Whether the examples are in the slice `synthetic`; that they are is in their metadata in any case."""
    max_cost: Decimal | None = None
    """US dollars that it may cost; it stops before a call that could pass them, and stores what it has."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    """Calls under way at the same time."""
    note: str = ""
    """A remark for people."""
    dry: bool = False
    """Tell what it would cost, and ask nothing."""


class SynthesisPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a synthesis would do, before anything is asked."""

    source: ResolvedRef | None
    """The version that passages are from; null where they were given."""
    passages: int
    """Passages that are asked about: a call each."""
    left_out: int
    """Passages beyond the most, too short to ask about, or there twice."""
    examples: int
    """How many examples there would be at most."""
    cost: Decimal | None
    """US dollars, about; null when unknown."""
    most: Decimal | None
    """US dollars at most; null when unknown."""
    unpriced: str
    """Why the cost is unknown."""


class Synthesis(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun, or would be."""

    plan: SynthesisPlan
    job_id: str | None
    """The job that carries it out, whose result is the report; null where it was dry."""


class RunSynthesis(msgspec.Struct, frozen=True, kw_only=True):
    """What the job is given."""

    body: Synthesise
    source: str = ""
    """The version that `source` meant when it was begun."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said of one passage; kept as a step of the job, so that it is asked once."""

    text: str
    trace_id: str
    at: str
    """When, in ISO 8601."""
    cost: Decimal | None


class SynthesisReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a synthesis; the result of its job."""

    ref: ResolvedRef | None
    """The suite; null where nothing was left to store."""
    passages: int
    asked: int
    """Passages that the model answered about."""
    examples: int
    """Examples of the suite."""
    dropped: dict[str, int]
    """How many questions are not in it, by reason; `unparseable` counts answers."""
    failed: dict[str, int]
    """Calls that failed, by the code of the error."""
    cost: Decimal
    """US dollars of the calls whose price is known."""
    unpriced: int
    """Calls whose price is not known."""
    stopped: str
    """Why not all passages were asked about; empty where they were."""
