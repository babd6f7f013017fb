"""Context precision: relevant passages first, by gold passages or by gold sources."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.context_precision import context_precision
from gimbal.testing.scorers import check_scorer

GOLD = ["The gate opens at 8 every day, and it is made of iron from the old mine."]
GOOD = "The gate opens at 8 every day."
LONG = "Before all else: " + GOLD[0] + " Further remarks about the weather in spring follow."
BAD = "A key costs five dollars in the shop."


@pytest.mark.parametrize(
    ("contexts", "value"),
    [
        ([GOOD, BAD], 1.0),
        ([LONG], 1.0),
        ([BAD, GOOD], 0.5),
        ([GOOD, BAD, LONG], (1 + 2 / 3) / 2),
        ([BAD], 0.0),
        ([], 0.0),
        (["", "\x00", "\ud800"], 0.0),
    ],
)
def test_it_is_the_average_precision_over_what_was_retrieved(contexts: list[str], value: float) -> None:
    """By hand; a part of a gold passage is relevant, and so is what has all of it."""
    assert context_precision({"contexts": GOLD}, {"contexts": contexts}).value == pytest.approx(value)


def test_without_gold_passages_the_gold_sources_decide() -> None:
    expected = {"sources": ["gate.md#hours", "key.md"]}

    assert context_precision(expected, {"sources": ["gate.md", "x.md", "key.md"]}).value == pytest.approx(
        (1 + 2 / 3) / 2
    )
    assert context_precision(expected, {"sources": ["x.md", "gate.md#iron"]}).value == 0.5
    assert context_precision({**expected, "contexts": GOLD}, {"sources": ["key.md"]}).value == 1.0
    assert context_precision(expected, {"sources": ["x.md", "gate.md"]}).explanation == "1 of 2 are relevant"


@pytest.mark.parametrize(
    ("expected", "output", "reason"),
    [
        ({}, {"contexts": [GOOD]}, "no_expectation"),
        ({"contexts": [], "source": ""}, {"contexts": [GOOD]}, "no_expectation"),
        ({"contexts": GOLD}, {}, "no_output"),
        ({"contexts": GOLD}, {"contexts": None, "sources": ["gate.md"]}, "no_output"),
        ({"source": "gate.md"}, {"contexts": [GOOD]}, "no_output"),
        ({"contexts": GOLD}, {"contexts": ["a" * 5_000_000]}, "too_long"),
    ],
)
def test_what_cannot_be_compared_is_missing(expected: Any, output: Any, reason: str) -> None:
    found = context_precision(expected, output)

    assert (found.value, found.missing) == (None, reason)


def test_it_keeps_the_promises_of_scorers() -> None:
    check_scorer(context_precision, {"contexts": GOLD}, {"contexts": [BAD, GOOD]})
    check_scorer(context_precision, {"source": "gate.md"}, {"sources": ["gate.md"]})
