"""What this process knows of one model: figures, latencies, breaker, pauses and budgets of extra attempts."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.breaker import PASS, REFUSED, Breaker
from gimbal.generative.gateway.resilience.faults import LIMITED, Fault
from gimbal.generative.gateway.resilience.latency import Latency
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings_resilience import HealthSettings

_P95 = 0.95


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model of one provider, since this process started."""

    scope: str = ""
    """Project whose own provider it is; empty for those of the installation."""
    provider: str
    model: str
    state: str
    """closed (calls pass), open (none does), half_open (probes do), or paused (it asked for that by Retry-After)."""
    since: datetime
    """Since when it is in this state, or was first called."""
    until_s: float | None = None
    """Seconds until calls or probes pass again."""
    opened: int = 0
    """How often its breaker has opened in all."""
    calls: int = 0
    """Attempts that were sent."""
    answered: int = 0
    failures: dict[str, int] = {}
    """Failed attempts by kind; `caller` counts those that were the caller's own fault."""
    window_calls: int = 0
    """Calls that the breaker looks at now."""
    window_failures: int = 0
    under_way: int = 0
    """Attempts that wait for their answer to begin."""
    first_byte_ms: float | None = None
    """Peak EWMA of the time to the first byte of streams."""
    first_byte_p95_ms: float | None = None
    """Of the last 128 streams."""
    whole_ms: float | None = None
    """Peak EWMA of the time to whole answers."""
    whole_p95_ms: float | None = None
    retries: int = 0
    hedges: int = 0
    wasted: int = 0
    """Attempts that another overtook."""
    kept_away: int = 0
    """Calls that were not sent here because of its state."""
    rerouted: dict[str, int] = {}
    """Calls that went on to another model, by that model."""
    last_error: str = ""
    """Kind and status of the last failure; never what a provider said, which may quote somebody's call."""
    last_error_at: datetime | None = None


class ModelHealth:
    """One model of one provider."""

    __slots__ = (
        "_clock", "_hedge_tokens", "_last", "_opened", "_retry_tokens", "_settings", "_since", "_wall", "answered", "breaker", "calls",
        "failures", "first_byte", "hedges", "kept_away", "model", "paused", "paused_until", "provider", "rerouted",
        "retries", "scope", "under_way", "wasted", "whole",
    )  # fmt: skip

    def __init__(
        self,
        settings: HealthSettings,
        clock: Callable[[], float],
        wall: Callable[[], datetime],
        scope: str,
        provider: str,
        model: str,
    ) -> None:
        now = clock()
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self.scope = scope
        self.provider = provider
        self.model = model
        self.breaker = Breaker(settings.breaker, now)
        self.first_byte = Latency(settings.decay_s)
        self.whole = Latency(settings.decay_s)
        self.paused = False
        self.paused_until = 0.0
        self.calls = self.answered = self.under_way = self.retries = self.hedges = self.wasted = self.kept_away = 0
        self.failures: dict[str, int] = {}
        self.rerouted: dict[str, int] = {}
        self._retry_tokens = settings.retry_burst
        self._hedge_tokens = 0.0
        self._since = wall()
        self._opened = 0
        self._last: tuple[str, datetime] | None = None

    def enter(self, now: float) -> int:
        """Begin an attempt: return the breaker's token for one of `answered_by`, `failed` and `gave_up`, or REFUSED."""
        if self.paused and not self._rested(now):
            self.kept_away += 1
            return REFUSED
        token = PASS if self.breaker.closed else self.breaker.enter(now)
        if token == REFUSED:
            self.kept_away += 1
            return REFUSED
        self.calls += 1
        self.under_way += 1
        return token

    def earn(self) -> None:
        """Add what a call's first attempt here gives to the budget of retries."""
        settings = self._settings
        tokens = self._retry_tokens + settings.retry_share
        self._retry_tokens = min(settings.retry_burst, tokens)

    def earn_hedge(self, share: float) -> None:
        """Add what a call that may be hedged gives to the budget of hedged attempts."""
        self._hedge_tokens = min(self._settings.retry_burst, self._hedge_tokens + share)

    def sent_on(self, to: Choice) -> None:
        """Note that a call goes on to another model."""
        name = f"{to.provider}/{to.model}"
        self.rerouted[name] = self.rerouted.get(name, 0) + 1

    def may_retry(self) -> bool:
        """Take one retry out of the budget; False when it is used up."""
        if self._retry_tokens < 1.0:
            return False
        self._retry_tokens -= 1.0
        self.retries += 1
        return True

    def may_hedge(self) -> bool:
        """Take one hedged attempt out of the budget; False when it is used up."""
        # Ten shares of a tenth are one, but not quite in floats.
        if self._hedge_tokens < 1.0 - 1e-9:
            return False
        self._hedge_tokens -= 1.0
        self.hedges += 1
        return True

    def answers(self, token: int, now: float, seconds: float, *, stream: bool) -> None:
        """Note that an answer has begun."""
        self.under_way -= 1
        self.answered += 1
        (self.first_byte if stream else self.whole).observe(seconds, now)
        closed = self.breaker.closed
        self.breaker.succeeded(token, now)
        if not closed and self.breaker.closed:
            self._since = self._wall()

    def failed(self, token: int, now: float, seconds: float, fault: Fault, problem: GimbalError) -> None:
        """Note that an attempt failed."""
        self.under_way -= 1
        self._count(fault, problem)
        wait = problem.retry_after
        if fault.kind == LIMITED.kind and wait is not None and wait > 0:
            self._pause(now, wait)
            self.breaker.dropped(token)
        elif fault.counts:
            self._slow(max(seconds, self._settings.failure_s), now)
            self._fail(lambda: self.breaker.failed(token, now))
        elif fault.kind == "caller":
            # It can tell a bad call from a good one, so it lives; but bad calls shall not hide failures of good ones.
            if token == PASS:
                self.breaker.dropped(token)
            else:
                self.breaker.succeeded(token, now)
        else:
            self.breaker.dropped(token)

    def gave_up(self, token: int, now: float, seconds: float, *, wasted: bool = False) -> None:
        """Note that an attempt was stopped before it had ended; that it took so long is all that is known."""
        self.under_way -= 1
        self.wasted += wasted
        self._slow(seconds, now)
        self.breaker.dropped(token)

    def broke_off(self, fault: Fault, problem: GimbalError) -> None:
        """Note that an answer broke off after it had begun."""
        self._count(fault, problem)
        if fault.counts:
            now = self._clock()
            self._slow(self._settings.failure_s, now)
            self._fail(lambda: self.breaker.failed_later(now))

    def usable(self, now: float) -> bool:
        """Tell whether a call would be sent here."""
        return not (self.paused and now < self.paused_until) and self.breaker.may_enter(now)

    def resting(self, now: float) -> float:
        """Return the seconds until calls or probes may pass again; 0 when they may."""
        paused = self.paused_until - now if self.paused else 0.0
        return max(0.0, paused, 0.0 if self.breaker.closed else self.breaker.until - now)

    def cost(self, now: float, *, stream: bool) -> float:
        """Return what choosing it costs; where one kind of answer was never measured, by the other."""
        latency = self.first_byte if stream else self.whole
        if not latency.count and (other := self.whole if stream else self.first_byte).count:
            latency = other
        return latency.cost(now, self.under_way)

    def p95(self, *, stream: bool) -> float | None:
        """Return what 95 of the last 100 calls of this sort needed; None while too few are known."""
        return (self.first_byte if stream else self.whole).quantile(_P95)

    def idle(self) -> bool:
        """Tell whether nothing would be lost but figures if it were forgotten."""
        return self.under_way == 0 and self.breaker.closed and not self.paused

    def state(self) -> ModelState:
        """Return what is known as it stands."""
        now = self._clock()
        paused = self.paused and not self._rested(now)
        state = "paused" if paused and self.breaker.closed else self.breaker.state(now)
        resting = self.resting(now)
        return ModelState(
            scope=self.scope,
            provider=self.provider,
            model=self.model,
            state=state,
            since=self._since,
            until_s=round(resting, 3) if resting else None,
            opened=self._opened,
            calls=self.calls,
            answered=self.answered,
            failures=dict(self.failures),
            window_calls=self.breaker.calls,
            window_failures=self.breaker.failures,
            under_way=self.under_way,
            first_byte_ms=_ms(self.first_byte.now(now) if self.first_byte.count else None),
            first_byte_p95_ms=_ms(self.first_byte.quantile(_P95)),
            whole_ms=_ms(self.whole.now(now) if self.whole.count else None),
            whole_p95_ms=_ms(self.whole.quantile(_P95)),
            retries=self.retries,
            hedges=self.hedges,
            wasted=self.wasted,
            kept_away=self.kept_away,
            rerouted=dict(self.rerouted),
            last_error=self._last[0] if self._last else "",
            last_error_at=self._last[1] if self._last else None,
        )

    def _rested(self, now: float) -> bool:
        if now < self.paused_until:
            return False
        self.paused = False
        self._since = self._wall()
        return True

    def _pause(self, now: float, wait: float) -> None:
        if not self.paused:
            self._since = self._wall()
        self.paused = True
        self.paused_until = max(self.paused_until, now + min(wait, self._settings.most_pause_s))

    def _slow(self, seconds: float, now: float) -> None:
        self.first_byte.at_least(seconds, now)
        self.whole.at_least(seconds, now)

    def _fail(self, tell: Callable[[], None]) -> None:
        before = self.breaker.until
        tell()
        if not self.breaker.closed and self.breaker.until != before:
            self._opened += 1
            self._since = self._wall()

    def _count(self, fault: Fault, problem: GimbalError) -> None:
        self.failures[fault.kind] = self.failures.get(fault.kind, 0) + 1
        status = getattr(problem, "provider_status", None)
        self._last = (f"{fault.kind} {status}" if status else fault.kind, self._wall())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
