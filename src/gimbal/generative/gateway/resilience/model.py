"""What is to be attempted and how often, and what came of it; pure records."""

from typing import Annotated, Literal

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.provider import Answer, Choice

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
MOST_ATTEMPTS = 5


class DeadlineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Seconds that each part of a call may take; what the caller allows caps them all."""

    connect_s: Seconds = 10.0
    """To a connection."""
    first_byte_s: Seconds = 120.0
    """From the request's last byte to the answer's first, of one attempt."""
    between_s: Seconds = 120.0
    """Silence between two chunks of an answer."""
    total_s: Seconds = 3600.0
    """From the call to the answer's last byte, over all attempts."""


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the same target is tried again. Only what is safe is, and never after the first byte."""

    attempts: Annotated[int, msgspec.Meta(ge=1, le=MOST_ATTEMPTS)] = 2
    """Attempts at one target, the first included."""
    base_s: Seconds = 0.2
    """Longest wait before the first retry; it doubles with each. The wait is drawn evenly from nothing to that."""
    most_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """Longest wait, also where a provider asks for one by Retry-After: above it the call goes on without waiting."""
    repeatable: bool = False
    """Whether a request may be sent again that the provider may have begun to work on (and may bill): the connection broke,
    or no byte came in time."""


class HedgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A second attempt beside a slow first one; who begins to answer first wins and the other is stopped."""

    after_s: Seconds | None = None
    """Seconds to wait for the first byte; left out: what 95 of 100 calls of the model needed of late."""
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1
    """Share of a model's calls that may be hedged at most."""
    to: Literal["same", "next"] = "same"
    """`same`: the same target again; `next`: the one that comes after it, where there is one."""


class Resilience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How hard a call is tried."""

    deadlines: DeadlineSettings = DeadlineSettings()
    retry: RetrySettings = RetrySettings()
    hedge: HedgeSettings | None = None
    """Left out: no hedged requests."""
    fall_back_on: tuple[Literal["content_filter", "context_length"], ...] = ()
    """Refusals of the call itself after which the next target is asked all the same."""


DEFAULT = Resilience()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be attempted for one call."""

    choices: tuple[Choice, ...]
    """In this order, until one answers."""
    resilience: Resilience = DEFAULT
    shadow: Choice | None = None
    """Asked beside, for the record alone; the caller never waits for it."""
    reasons: tuple[str, ...] = ()
    """How it came to be, for the trace and for whoever tries a route out."""
    route: str = ""
    """Resolved reference of the route's version; empty without one."""


def only(choice: Choice) -> Plan:
    """Return the plan for a model that was named without a route."""
    return Plan(choices=(choice,))


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of a call, for its trace."""

    choice: Choice
    kind: str
    """first, retry, fallback or hedge."""
    started_ms: float
    """After the call came here."""
    ms: float
    """Until its answer began or it ended."""
    outcome: str
    """ok, refused, unreachable, broken, too_slow, failed; filtered (answered, but by a content filter); breaker_open and
    paused (not sent at all); cancelled (the caller went away); wasted (another was faster)."""
    status: int | None = None
    """HTTP status of the provider, where one came with an error."""
    message: str = ""
    usage: Usage | None = None
    """What an answer that nobody gets has used, where that is known."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that has begun, and how it was come by."""

    answer: Answer
    choice: Choice
    attempts: list[Attempt]
