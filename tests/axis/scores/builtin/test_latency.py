"""What was measured of an answer: its latency, its cost, its tokens."""

from decimal import Decimal
from typing import Any

import pytest

from gimbal.axis.scores.builtin.cost import cost, tokens
from gimbal.axis.scores.builtin.latency import latency
from gimbal.testing.scorers import check_scorer


def test_latency_and_cost_are_as_the_target_measured_them() -> None:
    """A cost of nothing is a cost; no cost is none."""
    assert latency({}, {"latency_ms": 120.5}).value == 120.5
    assert cost({}, {"cost": Decimal("0.0021")}).value == 0.0021
    assert cost({}, {"cost": 0}).value == 0.0
    assert (cost({}, {"cost": None}).value, cost({}, {"cost": None}).missing) == (None, "no_output")


def test_tokens_are_those_of_both_sides_or_of_one() -> None:
    output = {"input_tokens": 12, "output_tokens": 30}

    assert tokens({}, output).value == 42
    assert tokens({}, output, of="input").value == 12
    assert tokens({}, output, of="output").value == 30
    assert tokens({}, {"output_tokens": 30}).missing == "no_output"
    assert tokens({}, {"output_tokens": 30}, of="output").value == 30


@pytest.mark.parametrize("told", [-1, float("nan"), float("inf"), True, "12", [], 10**400])
def test_what_cannot_be_measured_is_no_measurement(told: Any) -> None:
    assert latency({}, {"latency_ms": told}).missing == "unparseable"
    assert cost({}, {"cost": told}).missing == "unparseable"
    assert tokens({}, {"input_tokens": 1, "output_tokens": told}).missing == "unparseable"


def test_they_keep_the_promises_of_scorers_and_lower_is_better() -> None:
    for scorer, output in (
        (latency, {"latency_ms": 3.0}),
        (cost, {"cost": 0.1}),
        (tokens, {"input_tokens": 1, "output_tokens": 2}),
    ):
        check_scorer(scorer, {}, output)
        assert (scorer.card.better, scorer.card.low, scorer.card.high) == ("lower", 0.0, None)
