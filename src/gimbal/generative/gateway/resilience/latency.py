"""How long a model takes of late: a peak EWMA for choosing, and what most calls needed, for hedging."""

import math

_KEPT = 128
_LEAST = 20
# How long a model that nobody has measured counts as needing once calls are under way to it.
_UNKNOWN_S = 1.0


class Latency:
    """Times until answers begin. A slow one counts at once and in full, a fast one bit by bit; with time all are forgotten."""

    __slots__ = ("_at", "_decay", "_kept", "_next", "_value", "count")

    def __init__(self, decay_s: float) -> None:
        self._decay = decay_s
        self._value = 0.0
        self._at = 0.0
        self._kept: list[float] = []
        self._next = 0
        self.count = 0

    def observe(self, seconds: float, now: float) -> None:
        """Note one time."""
        if seconds >= self._value:
            self._value = seconds
        else:
            weight = math.exp((self._at - now) / self._decay)
            self._value = self._value * weight + seconds * (1.0 - weight)
        self._at = now
        self.count += 1
        if len(self._kept) < _KEPT:
            self._kept.append(seconds)
        else:
            self._kept[self._next] = seconds
            self._next = (self._next + 1) % _KEPT

    def at_least(self, seconds: float, now: float) -> None:
        """Let a call count that failed or was given up: it says that the model is slow, and never that it is quick."""
        if seconds > self.now(now):
            self._value, self._at = seconds, now

    def now(self, now: float) -> float:
        """Return the average as it stands; it falls while nothing comes, so that a slow model is tried again some time."""
        return self._value * math.exp((self._at - now) / self._decay) if self._value else 0.0

    def cost(self, now: float, under_way: int) -> float:
        """Return what choosing this model costs: its time, times the calls that would be under way."""
        if not self._value:
            return _UNKNOWN_S * under_way
        return self.now(now) * (under_way + 1)

    def quantile(self, share: float) -> float | None:
        """Return what `share` of the last times were at most; None while too few are known."""
        if len(self._kept) < _LEAST:
            return None
        ordered = sorted(self._kept)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
