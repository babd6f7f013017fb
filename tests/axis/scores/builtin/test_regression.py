"""Errors of predicted numbers beside scikit-learn's and scipy's."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from gimbal.axis.scores.builtin.regression import mae, mape, pinball, r2, rmse, smape, spearman
from gimbal.testing.scorers import check_metric, check_scorer

NUMBERS = st.floats(-1e300, 1e300)


def drawn(n: int = 100) -> tuple[Any, Any]:
    random = np.random.default_rng(11)
    wanted = random.normal(10.0, 3.0, n)
    return wanted, np.round(wanted + random.normal(0.0, 2.0, n), 0)


def values(scorer: Any, wanted: Any, said: Any, **params: Any) -> list[float]:
    return [
        scorer({"value": a}, {"value": b}, **params).value for a, b in zip(wanted.tolist(), said.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("scorer", "reference", "params"),
    [
        (mae, oracle.mean_absolute_error, {}),
        (mape, oracle.mean_absolute_percentage_error, {}),
        (pinball, oracle.mean_pinball_loss, {}),
        (pinball, oracle.mean_pinball_loss, {"quantile": 0.9}),
    ],
)
def test_means_of_errors_are_those_of_scikit_learn_with_and_without_weights(
    scorer: Any, reference: Any, params: dict[str, float]
) -> None:
    wanted, said = drawn()
    there = {"alpha": params["quantile"]} if params else {}
    found = values(scorer, wanted, said, **params)

    for weights in (None, np.linspace(0.1, 2.0, wanted.size)):
        mean = reference(wanted, said, sample_weight=weights, **there)
        assert np.average(found, weights=weights) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (rmse, oracle.root_mean_squared_error),
        (r2, oracle.r2_score),
        (spearman, lambda a, b: stats.spearmanr(a, b).statistic),
    ],
)
def test_metrics_over_the_suite_are_those_of_scikit_learn_and_scipy(metric: Any, reference: Any) -> None:
    """The predictions have ties, which Spearman's ranks share."""
    wanted, said = drawn()
    samples = [metric.read({"value": a}, {"value": b}) for a, b in zip(wanted.tolist(), said.tolist(), strict=True)]

    assert metric.over(samples) == pytest.approx(reference(wanted, said))
    check_metric(metric, [({"value": float(i)}, {"value": i * i - 2 * i}) for i in range(4)])


def test_a_symmetric_percentage_is_a_share_of_the_mean_size() -> None:
    """By hand: |110−100| over 105; of two zeros 0; against a zero the worst there is."""
    assert smape({"value": 100}, {"value": 110}).value == pytest.approx(10 / 105)
    assert smape({"value": 0}, {"value": 0}).value == 0
    assert smape({"value": 0}, {"value": 1e-9}).value == 2
    assert smape({"value": -1e308}, {"value": 1e308}).value == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("About 1,234.5 kg.", 1234.5), ("It is −3", -3.0), ("12 %", 0.12), ("6e2, I say: 600", 600.0), (" 7\x00", 7.0)],
)
def test_the_only_number_of_a_text_is_the_prediction(text: str, said: float) -> None:
    assert mae({"value": 0}, {"text": text}).value == pytest.approx(abs(said))
    assert mae({"value": said}, {"value": None, "text": text}).value == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({}, "no_output"),
        ({"text": None}, "no_output"),
        ({"text": ""}, "unparseable"),
        ({"text": "between 3 and 4"}, "unparseable"),
        ({"value": "4"}, "unparseable"),
        ({"value": True}, "unparseable"),
        ({"value": float("nan")}, "unparseable"),
        ({"value": 10**400}, "unparseable"),
        ({"text": "1 " * 2_500_000}, "too_long"),
    ],
)
def test_what_is_no_number_is_missing_with_a_reason(output: dict[str, Any], reason: str) -> None:
    for scorer in (mae, mape, smape, pinball):
        assert scorer({"value": 4}, output).missing == reason
        assert scorer({"value": 4}, output).value is None
    assert rmse.read({"value": 4}, output).missing == reason


@pytest.mark.parametrize("expected", [{}, {"value": None}, {"value": "4"}, {"value": True}, {"value": float("inf")}])
def test_without_an_expected_number_the_error_is_missing(expected: dict[str, Any]) -> None:
    assert mae(expected, {"value": 4}).missing == "no_expectation"
    assert r2.read(expected, {"value": 4}).missing == "no_expectation"


def test_of_0_there_is_no_percentage() -> None:
    """It is the suite's doing and no gap in the evidence, so it does not count as one."""
    found = mape({"value": 0}, {"value": 1})

    assert (found.value, found.missing) == (None, "no_expectation")
    assert "no share" in found.explanation


@pytest.mark.parametrize(
    ("metric", "pairs", "reason"),
    [
        (r2, [(1.0, 2.0), (1.0, 3.0)], "expected values have no variance"),
        (r2, [(1.0, 2.0)], "no variance"),
        (spearman, [(1.0, 2.0), (2.0, 2.0)], "predictions have no variance"),
        (spearman, [(1.0, 1.0), (1.0, 2.0)], "expected values have no variance"),
        (rmse, [], "no values"),
        (spearman, [], "no values"),
    ],
)
def test_what_is_undefined_says_why(metric: Any, pairs: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        metric.over(pairs)


@pytest.mark.parametrize("scorer", [mae, mape, smape, pinball])
def test_scorers_of_numbers_keep_the_promises(scorer: Any) -> None:
    check_scorer(scorer, {"value": 3.5}, {"value": Decimal("3.25")})
    check_scorer(scorer, {"value": 3.5}, {"text": "3.25"})


@given(NUMBERS, NUMBERS)
def test_a_symmetric_percentage_is_symmetric_and_bounded(one: float, other: float) -> None:
    value = smape({"value": one}, {"value": other}).value

    assert value is not None
    assert 0 <= value <= 2
    assert value == smape({"value": other}, {"value": one}).value
