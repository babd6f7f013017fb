"""What is told of one trace beside its spans: its skeleton, where a text stands, who worked in it, and what it is like."""

from decimal import Decimal

import msgspec

from gimbal.axis.traces.model import TraceSummary


class Skeleton(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a trace as columns; all are as long as `ids`, and say of the span at a place."""

    trace_id: str
    spans: int
    """How many the trace has; there are fewer here when it has more than 100,000."""
    start_us: int
    """Where it begins, in microseconds since 1970 UTC."""
    length_us: int
    """From there to the end of what ends last."""
    names: list[str]
    """Every name once."""
    kinds: list[str]
    models: list[str]
    statuses: list[str]
    ids: list[str]
    parent: list[int]
    """Place of the parent, always before the span; -1 where it has none here."""
    name: list[int]
    """Place in `names`; `kind`, `model` and `status` likewise."""
    kind: list[int]
    model: list[int]
    status: list[int]
    start: list[int]
    """Microseconds after `start_us`."""
    duration: list[int]
    """Microseconds."""
    tokens: list[int | None]
    """In and out, of what is counted at this span; null where nothing is."""
    cost: list[Decimal | None]
    """US dollars counted at this span; null where it is unknown or counted at another."""
    all_tokens: list[int | None]
    """Of the span and what is beneath it, each call once."""
    all_cost: list[Decimal | None]
    all_errors: list[int]
    """Failed spans, itself among them."""
    unpriced: list[int]
    """Places of the calls whose cost is unknown."""
    cached: list[int]
    """Places of the calls that the application's own cache answered."""
    orphans: list[int]
    """Places of the spans whose parent is not among the spans of the trace."""
    critical: list[int]
    """Places of the spans that the end of the trace waited for, by start."""


class FoundSpans(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a trace that have a text."""

    ids: list[str]
    """By start."""
    more: bool
    """Whether there are more than 10,000."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, a model or a tool: all spans of one kind and name."""

    id: str
    kind: str
    name: str
    """A model's own name where it is known."""
    spans: int
    errors: int
    duration_us: int
    """Of all its spans together."""
    cost: Decimal | None
    """Of its spans and what is beneath them, US dollars; null when none is known."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one by another, or agents that took turns."""

    source: str
    target: str
    count: int
    handoff: bool
    """Whether the second agent began where the first had ended, beside it and not beneath."""


class AgentGraph(msgspec.Struct, frozen=True, kw_only=True):
    """Who worked in a trace."""

    actors: list[Actor]
    links: list[Link]
    left_out: int
    """Actors beyond the sixty with the most spans."""


class Like(msgspec.Struct, frozen=True, kw_only=True):
    """A trace like the one asked about."""

    trace: TraceSummary
    shape: float
    """How much of the kinds and names of their spans, models and tools is the same: 0 to 1."""
    same_end: bool
    """Whether both failed in the same spans, or neither did."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trace stands among others in one measure."""

    measure: str
    """`duration`, `cost` or `tokens`."""
    among: int
    """Of how many others it is known."""
    below: float
    """Share of them that it exceeds, 0 to 1; of those that are equal half counts."""
    median: float
    """Of the others: milliseconds, US dollars or tokens."""


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """What is like a trace, and how it stands among all with its root's name."""

    traces: list[Like]
    """Nearest first."""
    standings: list[Standing]
    """Empty when there is nothing to compare with."""
    read: int
    """Of how many traces the shapes were compared: the newest thousand at most."""
