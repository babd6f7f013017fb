"""Brier score and log loss beside scikit-learn's, and the calibration error of forecasters whose error is known."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from gimbal.axis.scores.builtin.calibration import brier, ece, log_loss
from gimbal.testing.scorers import check_metric, check_scorer

CLASSES = ["cat", "dog", "owl"]


def forecasts(n: int = 300) -> tuple[list[str], list[list[float]]]:
    random = np.random.default_rng(5)
    rows = random.dirichlet([1.0, 1.0, 1.0], n)
    return [CLASSES[random.choice(3, p=row)] for row in rows], rows.tolist()


def test_the_means_are_those_of_scikit_learn_with_and_without_weights() -> None:
    """Both are means over examples, so weights of examples weigh them as they do there."""
    labels, rows = forecasts()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(labels))
    pairs = [
        ({"label": label}, {"value": dict(zip(CLASSES, row, strict=True))})
        for label, row in zip(labels, rows, strict=True)
    ]
    squared = [brier(expected, output).value for expected, output in pairs]
    lost = [log_loss(expected, output).value for expected, output in pairs]

    for weight in (None, weights):
        half = oracle.brier_score_loss(labels, rows, sample_weight=weight, scale_by_half=True, labels=CLASSES)
        assert np.average(squared, weights=weight) == pytest.approx(half)
        assert np.average(lost, weights=weight) == pytest.approx(oracle.log_loss(labels, rows, sample_weight=weight))


def test_of_one_probability_they_are_the_squared_error_and_the_surprise() -> None:
    assert brier({"label": True}, {"value": 0.8}).value == pytest.approx(0.04)
    assert brier({"label": "no"}, {"value": {"no": 0.8, "yes": 0.2}}).value == pytest.approx(0.04)
    assert log_loss({"label": True}, {"value": 0.5}).value == pytest.approx(np.log(2))
    assert log_loss({"label": True}, {"value": 0.0}).value == pytest.approx(-np.log(np.finfo(float).eps))
    assert brier({"label": "emu"}, {"value": {"cat": 1.0}}).value == 1.0


def test_a_calibrated_forecaster_has_hardly_a_calibration_error_and_another_has_its_own() -> None:
    """20,000 forecasts in 10 bins: the expected error of a bin is at most √(2/π · 0.25 / 2,000) ≈ 0.009."""
    random = np.random.default_rng(3)
    truth = random.uniform(0.0, 0.8, 20_000)
    came = random.uniform(size=truth.size) < truth

    def of(held: Any, **params: Any) -> float:
        return ece.over(
            [ece.read({"label": bool(y)}, {"value": float(p)}) for y, p in zip(came, held, strict=True)], **params
        )

    assert of(truth, positive="true") < 0.015
    assert of(truth + 0.2, positive="true") == pytest.approx(0.2, abs=0.015)
    assert of(np.full(truth.size, 0.4), positive="true") == pytest.approx(abs(came.mean() - 0.4), abs=1e-12)
    assert of(truth) < 0.015


def test_bins_hold_as_many_outputs_each_and_ties_do_not_follow_the_order() -> None:
    """By hand: 0.6 three times, right once; 0.9 once, right. Two bins of two: |1/3−0.6| and |(1/3+1)/2 − 0.75|, each half."""
    right, wrong = ({"label": "a"}, {"value": {"a": 0.6, "b": 0.4}}), ({"label": "b"}, {"value": {"a": 0.6, "b": 0.4}})
    sure = ({"label": "a"}, {"value": {"a": 0.9, "b": 0.1}})
    wanted = pytest.approx(0.5 * abs(1 / 3 - 0.6) + 0.5 * abs(2 / 3 - 0.75))

    for order in ([right, wrong, wrong, sure], [wrong, sure, wrong, right]):
        assert ece.over([ece.read(*one) for one in order], bins=2) == wanted
    with pytest.raises(ValueError, match="4 outputs are fewer than 10 bins"):
        ece.over([ece.read(*one) for one in (right, wrong, wrong, sure)])


@pytest.mark.parametrize("scorer", [brier, log_loss])
def test_what_is_no_forecast_is_missing(scorer: Any) -> None:
    assert scorer({}, {"value": {"a": 1.0}}).missing == "no_expectation"
    assert scorer({"label": "a"}, {"text": "a"}).missing == "no_output"
    assert scorer({"label": "a"}, {"value": {"a": 0.6, "b": 0.6}}).missing == "unparseable"
    assert scorer({"label": "a"}, {"value": {}}).missing == "unparseable"
    check_scorer(scorer, {"label": "a"}, {"value": {"a": 0.6, "b": 0.4}})


def test_the_calibration_error_keeps_the_promises_of_scorers() -> None:
    check_metric(ece, [({"label": "a"}, {"value": {"a": p, "b": 1 - p}}) for p in (0.6, 0.7, 0.8)], params={"bins": 2})


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 1.0), min_size=1), st.sampled_from("abcd"))
def test_a_brier_score_is_from_0_to_1_and_0_for_certainty_only(weights: dict[str, float], label: str) -> None:
    whole = sum(weights.values())
    value = brier({"label": label}, {"value": {name: one / whole for name, one in weights.items()}}).value

    assert value is not None
    assert 0 <= value <= 1
    assert (value < 1e-12) is (set(weights) == {label})
