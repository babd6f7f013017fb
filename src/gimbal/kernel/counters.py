"""What the rooms of one process count and measure, for `/metrics` and `/healthz`; `faces/server` shows it.

A room counts by `Context.count`, which needs no registration; where the figures are kept elsewhere already (the writer,
the event bus), the wiring lets them be read by `watch`.
"""

from collections.abc import Callable, Iterable

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a metric."""

    name: str
    """Full Prometheus name, unit last: `gimbal_writer_queue_rows`."""
    value: float
    help: str
    """What it counts, in a sentence."""
    kind: str = "gauge"
    """`gauge` or `counter`."""
    labels: dict[str, str] = {}


class Counters:
    """Counters since the start of this process, and sources that are read when somebody looks."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._help: dict[str, str] = {}
        self._sources: list[Callable[[], Iterable[Sample]]] = []

    def add(self, name: str, help_: str, by: float = 1.0, **labels: str) -> None:
        """Count `by` more of `name` (its full Prometheus name, ending in `_total`); labels have few values each."""
        key = (name, tuple(sorted(labels.items())))
        self._help.setdefault(name, help_)
        self._counts[key] = self._counts.get(key, 0.0) + by

    def watch(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Show also what `source` returns, asked each time."""
        self._sources.append(source)

    def samples(self) -> list[Sample]:
        """Return every count and what the sources say now."""
        own = [
            Sample(name=name, value=value, help=self._help[name], kind="counter", labels=dict(labels))
            for (name, labels), value in self._counts.items()
        ]
        return own + [sample for source in self._sources for sample in source()]
