"""What the rooms of one process count and measure, for `/metrics` and `/healthz`; `faces/server` shows it.

A room counts by `Context.count`, which needs no registration; where the figures are kept elsewhere already (the writer,
the event bus), the wiring lets them be read by `watch`.
"""

import bisect
from collections.abc import Callable, Iterable

import msgspec

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends, in seconds, of the buckets of every histogram; the last one has none."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric."""

    name: str
    """Full Prometheus name, unit last: `gimbal_writer_queue_rows`."""
    value: float
    help: str
    """What it counts, in a sentence."""
    kind: str = "gauge"
    """`gauge`, `counter` or `histogram`."""
    labels: dict[str, str] = {}
    family: str = ""
    """Name of the histogram that it is a bucket, the sum or the count of."""


class Timing:
    """How long something took, each time since the start of this process."""

    __slots__ = ("buckets", "count", "longest", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum = self.longest = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """Note one time."""
        self.buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds
        self.count += 1
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float | None:
        """Return what `share` of the times were below, as far as the buckets tell; None before the first."""
        below, wanted = 0, share * self.count
        for index, number in enumerate(self.buckets):
            if number and below + number >= wanted:
                low = BUCKETS[index - 1] if index else 0.0
                high = min(BUCKETS[index], self.longest) if index < len(BUCKETS) else self.longest
                return low + (max(high, low) - low) * (wanted - below) / number
            below += number
        return None

    def samples(self, name: str, help_: str) -> list[Sample]:
        """Return its buckets, sum and count as Prometheus has them, and the longest time as a gauge beside them."""
        found: list[Sample] = []
        below = 0
        for bound, number in zip((*map(str, BUCKETS), "+Inf"), self.buckets, strict=True):
            below += number
            found.append(_part(name, "_bucket", help_, below, {"le": bound}))
        found.append(_part(name, "_sum", help_, self.sum, {}))
        found.append(_part(name, "_count", help_, self.count, {}))
        longest = f"{name.removesuffix('_seconds')}_max_seconds"
        return [*found, Sample(name=longest, value=self.longest, help=f"The longest so far of: {help_}")]


def _part(name: str, suffix: str, help_: str, value: float, labels: dict[str, str]) -> Sample:
    return Sample(name=name + suffix, value=value, help=help_, kind="histogram", labels=labels, family=name)


class Counters:
    """Counters since the start of this process, and sources that are read when somebody looks."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._help: dict[str, str] = {}
        self._timings: dict[str, Timing] = {}
        self._sources: list[Callable[[], Iterable[Sample]]] = []

    def add(self, name: str, help_: str, by: float = 1.0, **labels: str) -> None:
        """Count `by` more of `name` (its full Prometheus name, ending in `_total`); labels have few values each."""
        key = (name, tuple(sorted(labels.items())))
        self._help.setdefault(name, help_)
        self._counts[key] = self._counts.get(key, 0.0) + by

    def time(self, name: str, help_: str, seconds: float) -> None:
        """Note how long something took under `name` (its full Prometheus name, ending in `_seconds`)."""
        timing = self._timings.get(name)
        if timing is None:
            timing = self._timings[name] = Timing()
            self._help[name] = help_
        timing.add(seconds)

    def timing(self, name: str) -> Timing:
        """Return the times noted under a name; none where there are none."""
        return self._timings.get(name) or Timing()

    def watch(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Show also what `source` returns, asked each time."""
        self._sources.append(source)

    def samples(self) -> list[Sample]:
        """Return every count and what the sources say now."""
        own = [
            Sample(name=name, value=value, help=self._help[name], kind="counter", labels=dict(labels))
            for (name, labels), value in self._counts.items()
        ]
        for name, timing in self._timings.items():
            own += timing.samples(name, self._help[name])
        return own + [sample for source in self._sources for sample in source()]
