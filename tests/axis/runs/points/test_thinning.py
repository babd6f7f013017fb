"""Curves thinned by M4: held against the plain definition, in one part and in many."""

import math
import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.runs.points import thinning
from gimbal.axis.runs.points.model import Point, rank_of
from gimbal.axis.runs.points.thinning import Thinner

Rows = list[tuple[str, Point]]
_VALUES = st.one_of(st.floats(width=16), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0]))
_POINTS = st.builds(Point, st.integers(-5, 60), st.integers(0, 60), _VALUES)
_ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), _POINTS), max_size=120)


def _table(rows: Rows) -> pa.Table:
    return pa.table(
        {
            "run_id": pa.array([run for run, _ in rows], pa.string()),
            "step": pa.array([point.step for _, point in rows], pa.int64()),
            "at_us": pa.array([point.at_us for _, point in rows], pa.int64()),
            "value": pa.array([point.value for _, point in rows], pa.float64()),
        }
    )


def _thinned(rows: Rows, cells: int, *, by_time: bool, part: int) -> dict[str, list[Point]]:
    """Thin rows as they come from the store: by run and step, so many at once."""
    rows = sorted(rows, key=lambda one: (one[0], one[1].step, one[1].at_us))
    thinner = Thinner(cells, by_time=by_time)
    for start in range(0, len(rows) + 1, part):
        some = rows[start : start + part]
        thinner.take(_table(some), last=len(some) < part)
    return thinner.curves()


def _key(point: Point, *, by_time: bool) -> tuple[int, int, int]:
    x, other = (point.at_us, point.step) if by_time else (point.step, point.at_us)
    return x, other, rank_of(point.value)


def _plain(rows: Rows, cells: int, *, by_time: bool) -> dict[str, list[tuple[int, int, int]]]:
    found: dict[str, list[tuple[int, int, int]]] = {}
    for run in {run for run, _ in rows}:
        points = {_key(point, by_time=by_time): point for of, point in rows if of == run}
        keys = sorted(points)
        if len(keys) <= 4 * cells:
            found[run] = keys
            continue
        low, high = keys[0][0], keys[-1][0]
        stretches: dict[int, list[tuple[int, int, int]]] = {}
        for key in keys:
            stretches.setdefault(min(int((key[0] - low) / (high - low + 1) * cells), cells - 1), []).append(key)
        kept: set[tuple[int, int, int]] = set()
        for members in stretches.values():
            kept |= {members[0], members[-1]}
            finite = [key for key in members if math.isfinite(points[key].value)]
            if finite:
                kept.add(min(finite, key=lambda key: (points[key].value, key)))
                kept.add(max(finite, key=lambda key: (points[key].value, key)))
        found[run] = sorted(kept)
    return found


@given(rows=_ROWS, cells=st.integers(1, 6), by_time=st.booleans(), part=st.integers(1, 130))
def test_ends_and_extremes_of_every_stretch_stay(rows: Rows, cells: int, by_time: bool, part: int) -> None:
    found = _thinned(rows, cells, by_time=by_time, part=part)
    told = {run: [_key(point, by_time=by_time) for point in points] for run, points in found.items()}
    assert told == _plain(rows, cells, by_time=by_time)


def test_a_run_with_more_points_than_are_held_keeps_its_ends_and_extremes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinning, "_MOST_HELD", 1_000)
    chance = random.Random(7)
    rows = [("a", Point(step, step * 10, chance.random())) for step in range(20_000)]
    rows[12_345] = ("a", Point(12_345, 123_450, 9.0))
    rows[777] = ("a", Point(777, 7_770, -9.0))
    found = _thinned(rows, 50, by_time=False, part=300)["a"]
    assert len(found) <= 4 * 50
    assert (found[0], found[-1]) == (rows[0][1], rows[-1][1])
    assert {rows[12_345][1], rows[777][1]} <= set(found)
    assert found == sorted(found)
