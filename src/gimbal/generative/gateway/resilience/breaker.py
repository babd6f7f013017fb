"""The circuit breaker of one model: closed, open for a growing time, half open with a few probes, closed again.

Pure but for its own state; whoever asks brings the time.
"""

from gimbal.kernel.settings_resilience import BreakerSettings

_SLICES = 10
CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half_open"

PASS = 0
"""The token of a call that goes through a closed breaker; those of probes are positive."""
REFUSED = -1


class Breaker:
    """Counts calls and failures of a sliding window, and says who may pass."""

    __slots__ = (
        "_calls", "_closed_at", "_failed", "_number", "_out", "_settings", "_slice", "_succeeded", "_width",
        "calls", "closed", "failures", "opened", "until",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings, now: float) -> None:
        self._settings = settings
        self._width = settings.window_s / _SLICES
        self._calls = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._slice = int(now / self._width)
        self.calls = 0
        """Calls in the window."""
        self.failures = 0
        self.closed = True
        self.until = 0.0
        """When probes may go through, while it is not closed."""
        self.opened = 0
        """How often it has opened in a row."""
        self._closed_at = now
        self._out = 0
        self._succeeded = 0
        self._number = 0

    def state(self, now: float) -> str:
        """Return closed, open or half_open."""
        if self.closed:
            return CLOSED
        return OPEN if now < self.until else HALF_OPEN

    def enter(self, now: float) -> int:
        """Return PASS, the token of a probe, or REFUSED; hand the token to exactly one of the three that follow."""
        if self.closed:
            return PASS
        if now < self.until or self._out >= self._settings.probes:
            return REFUSED
        self._out += 1
        return self._number

    def may_enter(self, now: float) -> bool:
        """Tell whether `enter` would let a call pass."""
        return self.closed or (now >= self.until and self._out < self._settings.probes)

    def succeeded(self, token: int, now: float) -> None:
        """Note that a call was answered."""
        if token == PASS:
            if self.closed:
                at = self._turn(now)
                self._calls[at] += 1
                self.calls += 1
        elif self._returned(token):
            self._succeeded += 1
            if self._succeeded >= self._settings.successes:
                self._close(now)

    def failed(self, token: int, now: float) -> None:
        """Note that a call failed by the model's fault."""
        if token == PASS:
            if self.closed:
                at = self._turn(now)
                self._calls[at] += 1
                self._failed[at] += 1
                self.calls += 1
                self.failures += 1
                self._judge(now)
        elif self._returned(token):
            self._open(now)

    def dropped(self, token: int) -> None:
        """Note that a call ended without saying anything about the model."""
        if token != PASS:
            self._returned(token)

    def failed_later(self, now: float) -> None:
        """Note that a call which counts as answered broke off afterwards."""
        if self.closed:
            self._failed[self._turn(now)] += 1
            self.failures += 1
            self._judge(now)

    def _returned(self, token: int) -> bool:
        """Take a probe's token back; False for one of an earlier time, whose verdict says nothing any more."""
        if self.closed or token != self._number:
            return False
        self._out -= 1
        return True

    def _judge(self, now: float) -> None:
        settings = self._settings
        if self.calls >= settings.least_calls and self.failures >= settings.failure_rate * self.calls:
            # A model that fails again soon after it was let in goes on where it was.
            if now - self._closed_at > settings.window_s:
                self.opened = 0
            self._open(now)

    def _open(self, now: float) -> None:
        settings = self._settings
        self.closed = False
        self.until = now + min(settings.most_open_s, settings.open_s * 2.0 ** min(self.opened, 30))
        self.opened += 1
        self._number += 1
        self._out = self._succeeded = 0

    def _close(self, now: float) -> None:
        self.closed = True
        self._closed_at = now
        self._calls = [0] * _SLICES
        self._failed = [0] * _SLICES
        self._slice = int(now / self._width)
        self.calls = self.failures = 0

    def _turn(self, now: float) -> int:
        """Return the place of the present slice, after those that are too old were emptied."""
        current = int(now / self._width)
        gone = current - self._slice
        if gone > 0:
            for step in range(1, min(gone, _SLICES) + 1):
                at = (self._slice + step) % _SLICES
                self.calls -= self._calls[at]
                self.failures -= self._failed[at]
                self._calls[at] = self._failed[at] = 0
            self._slice = current
        return self._slice % _SLICES
