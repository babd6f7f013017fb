"""The normal form of spans and what lists and details of traces show."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.kernel.events import Event

KINDS = (
    "llm", "chain", "agent", "tool", "retriever", "reranker", "embedding", "guard", "evaluator", "prediction", "http",
    "other",
)  # fmt: skip
WASTED = ("error", "cancelled")
"""How a call ends that was paid for in vain; a retry is another call, which counts by itself."""


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One retrieved document."""

    id: str = ""
    content: str = ""
    score: float | None = None
    source: str = ""
    metadata: dict[str, Any] = {}
    """As it came."""


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened. Unknown stays None or empty, never 0."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    name: str
    start_us: int
    """Microseconds since 1970 UTC."""
    end_us: int
    parent_id: str = ""
    """Empty for a root."""
    remote_parent: bool = False
    """Whether the parent belongs to another process: then this span heads its own part of the trace."""
    kind: str = "other"
    """One of `KINDS`."""
    status: str = "unset"
    """`ok`, `error`, `cancelled` or `unset`."""
    status_message: str = ""
    provider: str = ""
    model: str = ""
    usage: Usage | None = None
    estimated: bool = False
    """Whether the usage is an estimate because nobody reported it."""
    cost: Decimal | None = None
    """US dollars; None when unknown."""
    unpriced: str = ""
    """Why the cost is unknown."""
    price_book: str = ""
    parts: dict[str, Decimal] = {}
    """The cost by token class and by tool of the provider; empty where it is not known."""
    cached: bool = False
    """Whether the answer came from the application's own cache: then the call cost nothing."""
    saved: Decimal | None = None
    """What it would have cost, where the answer came from the application's own cache; None when unknown."""
    billable: bool = True
    """False for what another span counts: one inside it, or one beside it that reports the same call."""
    first_token_us: int | None = None
    """Microseconds from the start to the first token."""
    finish: str = ""
    """Why the model stopped."""
    response_id: str = ""
    """The provider's id of the answer: two spans of a trace with the same one report the same call."""
    input: str = ""
    """JSON text of what went in."""
    output: str = ""
    """JSON text of what came out."""
    documents: list[Document] = []
    session_id: str = ""
    user_id: str = ""
    feature: str = ""
    """What of the product it was for."""
    endpoint: str = ""
    """What was called of ours: a path of the gateway, or as the sender names it."""
    key_id: str = ""
    """Id of the API key that the call was made with; not that of the key that sent the span."""
    tags: list[str] = []
    """Words, or `key:value`."""
    refs: list[str] = []
    """Versions that were used, resolved: `prompt:help/answer@v2`."""
    attributes: dict[str, Any] = {}
    """As they came."""
    events: list[dict[str, Any]] = []
    resource: dict[str, Any] = {}
    scope: str = ""
    dialect: str = ""
    """The convention it was read by."""
    truncated: bool = False
    """Whether something was too long and went to the blobs or was cut."""
    weight: float = 1.0
    """For how many spans it stands, itself among them, where others were left out by sampling."""
    randomness: int | None = None
    """The 56 bits by which it was drawn, where the sender wrote them down; else they are its trace id's."""

    @property
    def duration_us(self) -> int:
        """Microseconds from start to end."""
        return self.end_us - self.start_us

    @property
    def wasted(self) -> Decimal | None:
        """What a call cost that ended in an error or was stopped; None for one that ended well, or cost nothing known."""
        return self.cost if self.billable and self.status in WASTED else None


class TraceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as lists show it."""

    trace_id: str
    name: str
    """Of its root."""
    kind: str
    start: datetime
    duration_us: int
    """Of its root."""
    status: str
    """`error` when any span failed."""
    spans: int
    errors: int
    model: str
    """Of the root, or of the first model call."""
    feature: str
    user_id: str
    session_id: str
    input_tokens: int | None
    """None when no span reported any."""
    output_tokens: int | None
    cost: Decimal | None
    """Sum of the known costs; None when none is known."""
    unpriced: int
    """Calls whose cost is unknown."""
    saved: Decimal | None = None
    """What calls would have cost that were answered from the application's own cache; None when none was."""
    wasted: Decimal | None = None
    """What calls cost that ended in an error or were stopped: part of `cost`; None when there is none."""
    weight: float
    """For how many traces it stands, itself among them, where others were left out by sampling; no sum counts it."""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace with its spans, by start."""

    summary: TraceSummary
    spans: list[Span]


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a project in a stretch of time."""

    traces: int
    """Like all that follows it is an estimate where sampling left some out: each that is kept counts for those."""
    stored: int
    """Traces that were kept; as many as `traces` where none was left out."""
    traces_error: float
    """Standard error of `traces`; 0 where none was left out."""
    cost_error: Decimal
    """Standard error of `cost` in US dollars; 0 where none was left out."""
    errors: int
    """Failed spans."""
    calls: int
    """Model calls that were billed or could not be priced; what only repeats one is not counted."""
    priced: int
    """Spans whose cost is known."""
    cost: Decimal | None
    """Sum of the known costs; None when none is known."""
    unpriced: int
    """Calls whose cost is unknown."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What the spans of one group come to, in one stretch of time."""

    group: list[str | None]
    """What it has in each dimension; null where its spans say nothing."""
    start: datetime | None = None
    """Where its stretch of time begins; null when the question has none."""
    spans: int
    """Like all counts an estimate where sampling left some out: each that is kept counts for those."""
    traces: int
    """With a span in the group."""
    calls: int
    """Model calls, each once, whichever spans report it."""
    errors: int
    """Failed spans."""
    error_rate: float
    """Of the spans."""
    cost: Decimal | None
    """US dollars of the priced calls; null when none is."""
    priced: int
    """Spans whose cost is known."""
    unpriced: int
    """Calls whose cost is unknown."""
    wasted: Decimal | None
    """What calls cost that ended in an error or were stopped: part of `cost`; null when there is none."""
    wasted_calls: int
    saved: Decimal | None
    """What calls would have cost that were answered from the application's own cache; null when there are none."""
    cached_calls: int
    """Calls that were answered from there."""
    parts: dict[str, Decimal] | None
    """The cost by token class and tool of the provider, of the calls that tell it; null where it is not asked for."""
    input_tokens: int | None
    """Null when none were reported."""
    output_tokens: int | None
    p50_ms: float | None
    """From start to end: of the spans by their time, that up to which half of them are."""
    p95_ms: float | None
    p99_ms: float | None
    first_token_p50_ms: float | None
    """From start to the first token, of the spans that know it."""
    first_token_p95_ms: float | None
    first_token_p99_ms: float | None


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """The groups with the most, and what the others come to."""

    groups: list[Group]
    """By time, then by the measure that was asked for. A stretch of time without spans is left out."""
    more: bool
    """Whether there are other groups."""
    other: list[Group]
    """All others in one, or in one for each stretch of time; empty when there are none."""


class Renormalised(msgspec.Struct, frozen=True, kw_only=True):
    """What reading stored spans anew came to."""

    traces: int
    """That were looked at."""
    spans: int
    """That were read anew."""
    changed: int
    """Rows that say something else now."""
    next: str | None
    """Where to go on; null when the whole stretch of time is done."""


class SpansStored(Event, frozen=True, kw_only=True):
    """Spans are durable."""

    spans: list[Span]
