"""Context recall: the share of what a right answer says that the passages hold."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.context_recall import context_recall
from gimbal.testing.scorers import check_scorer

CONTEXTS = ["The gate opens at 8 every day.", "It is made of iron."]


def test_it_is_the_share_of_gold_claims_that_are_there() -> None:
    claims = {
        "claims": ["The gate opens at 8.", "The gate closes at 20.", "It is made of iron.", "A key costs 5 dollars."]
    }
    found = context_recall(claims, {"contexts": CONTEXTS})

    assert found.value == 0.5
    assert "'The gate closes at 20.'" in found.explanation
    assert "'A key costs 5 dollars.'" in found.explanation


def test_without_gold_claims_those_of_the_best_accepted_answer_count() -> None:
    answer = "The gate opens at 8. A key costs 5 dollars."

    assert context_recall({"answer": answer}, {"contexts": CONTEXTS}).value == 0.5
    assert context_recall({"answers": [answer, "It opens at 8."]}, {"contexts": CONTEXTS}).value == 1.0
    assert context_recall({"answer": "iron"}, {"contexts": CONTEXTS}).value == 1.0
    assert context_recall({"answer": "iron"}, {"contexts": []}).value == 0.0


@pytest.mark.parametrize(
    ("expected", "output", "reason"),
    [
        ({}, {"contexts": CONTEXTS}, "no_expectation"),
        ({"claims": [], "answer": None}, {"contexts": CONTEXTS}, "no_expectation"),
        ({"claims": ["  "], "answer": "?"}, {"contexts": CONTEXTS}, "no_expectation"),
        ({"answer": "iron"}, {"text": "iron"}, "no_output"),
        ({"answer": "iron"}, {"contexts": ["a" * 5_000_000]}, "too_long"),
    ],
)
def test_what_cannot_be_looked_for_is_missing(expected: Any, output: Any, reason: str) -> None:
    found = context_recall(expected, output)

    assert (found.value, found.missing) == (None, reason)


def test_it_keeps_the_promises_of_scorers() -> None:
    check_scorer(context_recall, {"claims": ["The gate opens at 8."]}, {"contexts": CONTEXTS})
    assert context_recall({"claims": ["\ud800 gate \x00"]}, {"contexts": ["\ud800 \x00 gate", 7]}).value == 1.0
