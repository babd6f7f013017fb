"""What is to be attempted and how often, and what came of it; pure records."""

from typing import Any, Literal

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.provider import Answer, Choice
from gimbal.kernel.settings_resilience import (
    Attempts,
    DeadlineSettings,
    ResilienceSettings,
    RetrySettings,
    Seconds,
    Share,
    Wait,
)


class HedgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A second attempt beside a slow first one; who begins to answer first wins and the other is stopped."""

    after_s: Seconds | None = None
    """Seconds to wait for the first byte; left out: what 95 of 100 calls of the model needed of late."""
    share: Share = 0.1
    """Share of a model's calls that may be hedged at most."""
    to: Literal["same", "next"] = "same"
    """`same`: the same target again; `next`: the one that comes after it, where there is one."""


class RouteDeadlines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Seconds that each part of a route's calls may take; what is left out is as `gateway.resilience.deadlines` says."""

    connect_s: Seconds | None = None
    """To a connection."""
    first_byte_s: Seconds | None = None
    """From the request's last byte to the answer's first, of one attempt."""
    between_s: Seconds | None = None
    """Silence between two chunks of an answer."""
    total_s: Seconds | None = None
    """From the call to the answer's last byte, over all attempts."""


class RouteRetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the same target of a route is tried again; what is left out is as `gateway.resilience.retry` says."""

    attempts: Attempts | None = None
    """Attempts at one target, the first included."""
    base_s: Seconds | None = None
    """Longest wait before the first retry; it doubles with each."""
    most_s: Wait | None = None
    """Longest wait, also where a provider asks for one by Retry-After."""
    repeatable: bool | None = None
    """Whether a request may be sent again that the provider may have begun to work on."""


FallBackOn = tuple[Literal["content_filter", "context_length"], ...]


class Resilience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How hard a call is tried."""

    deadlines: DeadlineSettings = DeadlineSettings()
    retry: RetrySettings = RetrySettings()
    hedge: HedgeSettings | None = None
    """Left out: no hedged requests."""
    fall_back_on: FallBackOn = ()
    """Refusals of the call itself after which the next target is asked all the same."""


DEFAULT = Resilience()


def by_settings(settings: ResilienceSettings) -> Resilience:
    """Return how hard a call is tried that goes by no route."""
    return Resilience(deadlines=settings.deadlines, retry=settings.retry)


class RouteResilience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How hard the calls of a route are tried, as far as it says so itself."""

    deadlines: RouteDeadlines = RouteDeadlines()
    retry: RouteRetry = RouteRetry()
    hedge: HedgeSettings | None = None
    """Left out: no hedged requests."""
    fall_back_on: FallBackOn = ()
    """Refusals of the call itself after which the next target is asked all the same."""

    def over(self, base: Resilience) -> Resilience:
        """Return the whole of it; what the route does not say is as in `base`."""
        deadlines, retry = _said(self.deadlines), _said(self.retry)
        return Resilience(
            deadlines=msgspec.structs.replace(base.deadlines, **deadlines) if deadlines else base.deadlines,
            retry=msgspec.structs.replace(base.retry, **retry) if retry else base.retry,
            hedge=self.hedge,
            fall_back_on=self.fall_back_on,
        )


def _said(part: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None}


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


def only(choice: Choice, resilience: Resilience = DEFAULT) -> Plan:
    """Return the plan for a model that was named without a route."""
    return Plan(choices=(choice,), resilience=resilience)


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
