"""Curves thinned for a chart by M4: of each stretch of the axis the first and the last point and both extremes.

That is all which a line of so many pixels can show (Jugel et al., "M4: A Visualization-Oriented Time Series Data
Aggregation", VLDB 2014). Points come in tables, run by run and each run by steps; of a run with few points all are kept.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gimbal.axis.runs.points.model import Point

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_MOST_HELD = 2_000_000
_FINER = 16
"""So many times the stretches asked for have those that a run is thinned to which has more points than are held."""
_ENDS = 4
"""Points of one stretch at most."""


class _Part:
    """Points of several runs, by run, place on the axis, the other place, and value."""

    def __init__(self, run: Ints, x: Ints, other: Ints, value: Floats) -> None:
        self.run, self.x, self.other, self.value = run, x, other, value

    def __len__(self) -> int:
        return len(self.run)

    def taken(self, which: Any) -> "_Part":
        return _Part(self.run[which], self.x[which], self.other[which], self.value[which])

    def ordered(self) -> "_Part":
        """Return them in order, each once."""
        if not len(self):
            return self
        bits = self.value.view(np.int64)
        rank = np.where(bits >= 0, bits, bits ^ np.int64(2**63 - 1))
        columns = (self.run, self.x, self.other, rank)
        follows = _follows(columns)
        if not follows.all():
            order = np.lexsort(columns[::-1])
            columns = tuple(column[order] for column in columns)
            return self.taken(order[np.append(True, _differs(columns))])
        once = np.append(True, _differs(columns))
        return self if once.all() else self.taken(once)

    def thinned(self, cells: int) -> "_Part":
        """Return of each run all points where they are few, and the ends and extremes of its stretches otherwise."""
        begin = np.flatnonzero(np.append(True, np.diff(self.run) != 0)) if len(self) else np.empty(0, np.int64)
        count = np.diff(np.append(begin, len(self)))
        if not (count > _ENDS * cells).any():
            return self
        low = np.repeat(self.x[begin].astype(np.float64), count)
        high = np.repeat(self.x[begin + count - 1].astype(np.float64), count)
        cell = np.minimum((self.x - low) / (high - low + 1) * cells, cells - 1).astype(np.int64)
        few = np.repeat(count <= _ENDS * cells, count)
        cell = np.where(few, np.arange(len(self)), cell)
        first = np.append(True, (np.diff(cell) != 0) | (np.diff(self.run) != 0))
        starts = np.flatnonzero(first)
        group = np.cumsum(first) - 1
        kept = np.zeros(len(self), np.bool_)
        kept[starts] = True
        kept[np.append(starts[1:], len(self)) - 1] = True
        finite = np.isfinite(self.value)
        for extreme, other, place in ((np.minimum, np.inf, 0), (np.maximum, -np.inf, -1)):
            value = np.where(finite, self.value, other)
            same = np.flatnonzero(finite & (value == extreme.reduceat(value, starts)[group]))
            # Of equal ones the first low and the last high, so that the same points are chosen every time.
            _, at = np.unique(group[same] if place == 0 else group[same][::-1], return_index=True)
            kept[same[at] if place == 0 else same[::-1][at]] = True
        return self.taken(kept)


class Thinner:
    """Takes tables of points (`run_id`, `step`, `at_us`, `value`, by run) one after the other, and thins each run of them."""

    def __init__(self, cells: int, *, by_time: bool) -> None:
        self._cells = cells
        self._by_time = by_time
        self._done: dict[str, list[Point]] = {}
        self._open: tuple[str, _Part] | None = None

    def take(self, table: pa.Table, *, last: bool) -> None:
        """Take the next points; the last run of a table that is not the `last` may go on in the next."""
        ids, part = self._read(table)
        if self._open is not None:
            part, ids = _joined(self._open, ids, part)
            self._open = None
        if not len(part):
            return
        if not last:
            mine = part.run == part.run[-1]
            some = part.taken(mine)
            if len(some) > _MOST_HELD:
                some = some.ordered().thinned(_FINER * self._cells)
            self._open = ids[int(part.run[-1])], some
            part = part.taken(~mine)
        found = part.ordered().thinned(self._cells)
        steps, times = (found.other, found.x) if self._by_time else (found.x, found.other)
        rows = zip(found.run.tolist(), steps.tolist(), times.tolist(), found.value.tolist(), strict=True)
        for run, *point in rows:
            self._done.setdefault(ids[run], []).append(Point._make(point))

    def curves(self) -> dict[str, list[Point]]:
        """Return by run id the points that were kept, in the order of the axis."""
        return self._done

    def _read(self, table: pa.Table) -> tuple[list[str], _Part]:
        run: Any = table.column("run_id").combine_chunks().dictionary_encode()
        ids: list[str] = run.dictionary.to_pylist()
        step, at_us, value = (table.column(name).to_numpy() for name in ("step", "at_us", "value"))
        x, other = (at_us, step) if self._by_time else (step, at_us)
        return ids, _Part(run.indices.to_numpy().astype(np.int64), x, other, value)


def _joined(opened: tuple[str, _Part], ids: list[str], part: _Part) -> tuple[_Part, list[str]]:
    """Return points that were held before others, with the ids of both."""
    run_id, held = opened
    known = {one: place for place, one in enumerate([run_id, *(one for one in ids if one != run_id)])}
    places = np.array([known[one] for one in ids], np.int64)
    run = np.append(np.zeros(len(held), np.int64), places[part.run] if len(part) else part.run)
    whole = _Part(run, np.append(held.x, part.x), np.append(held.other, part.other), np.append(held.value, part.value))
    return whole, list(known)


def _follows(columns: tuple[NDArray[Any], ...]) -> NDArray[np.bool_]:
    """Tell of each row whether it stands where it belongs: behind the row before, or equal to it."""
    found = np.ones(len(columns[0]) - 1, np.bool_)
    for column in reversed(columns):
        found = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & found)
    return found


def _differs(columns: tuple[NDArray[Any], ...]) -> NDArray[np.bool_]:
    return np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
