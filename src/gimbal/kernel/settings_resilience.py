"""Settings of how hard the gateway tries: deadlines, retries, circuit breakers and what is remembered of each model."""

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Attempts = Annotated[int, msgspec.Meta(ge=1, le=5)]
Wait = Annotated[float, msgspec.Meta(gt=0, le=60)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


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

    attempts: Attempts = 2
    """Attempts at one target, the first included."""
    base_s: Seconds = 0.2
    """Longest wait before the first retry; it doubles with each. The wait is drawn evenly from nothing to that."""
    most_s: Wait = 5.0
    """Longest wait, also where a provider asks for one by Retry-After: above it the call goes on without waiting."""
    repeatable: bool = False
    """Whether a request may be sent again that the provider may have begun to work on (and may bill): the connection broke, or no byte came in time."""


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a breaker opens, and for how long."""

    window_s: Seconds = 30.0
    """How far back calls are looked at."""
    least_calls: Count = 10
    """Calls in the window below which it never opens."""
    failure_rate: Share = 0.5
    """Share of them that must have failed."""
    open_s: Seconds = 5.0
    """How long it stays open the first time; it doubles each time that the probes fail."""
    most_open_s: Seconds = 120.0
    """How long it stays open at most."""
    probes: Count = 1
    """Calls that are let through at once while it is half open."""
    successes: Count = 2
    """Probes that must succeed, one after the other, before it closes."""


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How health is kept; for all models of a process."""

    breaker: BreakerSettings = BreakerSettings()
    """The circuit breaker of each model."""
    retry_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2
    """Retries that a model may get per call that was sent to it: in an outage retries add a fifth to the load, no more."""
    retry_burst: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 10.0
    """Retries that may be saved up; below 1 nothing is tried again."""
    decay_s: Seconds = 10.0
    """In what time a latency loses most of its weight."""
    failure_s: Seconds = 5.0
    """What a failed call counts as at least where models are chosen by latency: failing fast is no merit."""
    most_pause_s: Seconds = 300.0
    """How long a provider's Retry-After keeps all calls away at most; then one asks again."""
    most_models: Count = 1024
    """Models that are remembered: names come from callers."""


class ResilienceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard calls are tried where their route does not say, and how the health of models is kept."""

    deadlines: DeadlineSettings = DeadlineSettings()
    """Seconds that each part of a call may take."""
    retry: RetrySettings = RetrySettings()
    """When the same target is tried again."""
    health: HealthSettings = HealthSettings()
    """How the health of models is kept."""
