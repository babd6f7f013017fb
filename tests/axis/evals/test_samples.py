"""Metrics over the whole suite: weights count as copies, slices have their own value."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.evals.comparing import compare_scorer
from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.samples import copies
from gimbal.axis.evals.suites import applied
from gimbal.axis.evals.summing import summarise

TRUTH = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
SAID = [1.5, 1.0, 3.0, 7.0, 5.5, 6.0, 4.0, 8.5]


def row(place: int, *, weight: float = 1.0, slice_: str = "") -> EvaluationResult:
    """Return one answer that a regression metric reads."""
    return EvaluationResult(
        example_id=str(place), cluster=str(place), slice=slice_, weight=weight, input={}, expected={"value": TRUTH[place]},
        text=None, sources=None, scores={}, missing={}, value=SAID[place], trace_id="", latency_ms=None, error="",
    )  # fmt: skip


def test_weights_count_as_in_a_weighted_mean() -> None:
    """Whole proportions are exact, also where the weights themselves are no whole numbers."""
    weights = [0.5, 0.5, 1.0, 0.5, 1.5, 0.5, 2.0, 0.5]
    found = summarise(applied(["rmse"])[0], [row(place, weight=weight) for place, weight in enumerate(weights)])
    errors = (np.array(SAID) - np.array(TRUTH)) ** 2
    assert found.estimate.value == pytest.approx(math.sqrt(np.average(errors, weights=weights)))
    assert found.estimate.n == len(TRUTH), "a copy is no answer"


def test_every_slice_has_its_metric() -> None:
    """As if the others were not there, with their own number of answers."""
    found = summarise(applied(["rmse"])[0], [row(place, slice_="ab"[place % 2]) for place in range(8)])
    alone = summarise(applied(["rmse"])[0], [row(place) for place in range(0, 8, 2)])
    assert list(found.slices) == ["a", "b"]
    assert found.slices["a"] == alone.estimate
    assert found.slices["b"].n == 4


@given(st.lists(st.integers(1, 8), min_size=1, max_size=20), st.floats(1e-6, 1e6))
def test_whole_proportions_are_kept(numbers: list[int], unit: float) -> None:
    """Whatever the unit of the weights is."""
    weights = [number * unit for number in numbers]
    times = copies(weights)
    assert np.allclose(times / times.sum(), np.array(numbers) / sum(numbers), rtol=0.02)


@given(st.lists(st.floats(1e-3, 1e3), max_size=20))
def test_any_weight_is_there_and_bounded(weights: list[float]) -> None:
    """The smallest counts once at least; the largest no more than so many times."""
    times = copies(weights)
    assert len(times) == len(weights)
    assert all(1 <= number <= 64 for number in times)


def timed(place: int, milliseconds: float) -> EvaluationResult:
    """Return one answer with the time that it took."""
    return msgspec.structs.replace(row(place), scores={"latency": milliseconds}, latency_ms=milliseconds)


def test_amounts_are_no_shares() -> None:
    """Milliseconds below 1 are so by chance: nothing is allowed for up to 1; and none are below 0."""
    latency = applied(["latency"])[0]
    quick = summarise(latency, [timed(place, 0.010 + 0.001 * place) for place in range(8)]).estimate
    assert (quick.low, quick.high) == (pytest.approx(0.0115, abs=1e-4), pytest.approx(0.0155, abs=1e-4))
    wild = summarise(latency, [timed(place, 1000.0 if place == 0 else 1.0) for place in range(8)]).estimate
    assert wild.low == 0
    same = compare_scorer(
        latency, [timed(place, 0.5) for place in range(8)], [timed(place, 0.5) for place in range(8)], 0
    )
    assert (same.difference.value, same.difference.low, same.verdict) == (0, None, "underpowered")
