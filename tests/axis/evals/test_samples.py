"""Metrics over the whole suite: weights count as copies, slices have their own value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
