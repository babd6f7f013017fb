"""The shipped conformance suites: every built-in scorer keeps the promises, and each broken promise is found."""

from collections.abc import Mapping
from typing import Any

import pytest

import gimbal.axis.scores.builtin
from gimbal.axis.scores.model import SCORERS, Scorer, ScoreValue
from gimbal.testing.promise import refuses
from gimbal.testing.scorers import check_scorer

EXPECTED = {"answer": "both rings", "source": "docs/a.md"}
OUTPUT = {"text": "Both rings!", "sources": ["docs/a.md#top"]}
Sides = Mapping[str, Any]


@pytest.mark.parametrize("name", ["exact_match", "source_hit", "token_f1"])
def test_built_in_scorers_conform(name: str) -> None:
    """Each of them judges a right answer as wholly right."""
    assert check_scorer(SCORERS.get(name), EXPECTED, OUTPUT).value == 1


def counts_missing_as_zero(expected: Sides, output: Sides) -> ScoreValue:
    """Give 0 where nothing can be said."""
    return ScoreValue(value=float(bool(expected) and bool(output)))


def says_nothing(_expected: Sides, _output: Sides) -> ScoreValue:
    """Leave out the reason."""
    return ScoreValue(value=None)


def leaves_the_scale(expected: Sides, output: Sides) -> ScoreValue:
    """Return more than 1."""
    return ScoreValue(value=1.5) if expected and output else ScoreValue(value=None, missing="no_output")


def changes_its_input(expected: Sides, output: Sides) -> ScoreValue:
    """Write into the output."""
    dict.__setitem__(output, "seen", True)  # type: ignore[arg-type]
    return gimbal.axis.scores.builtin.exact_match.exact_match(expected, output)


class Flickers:
    """Give another value each time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, expected: Sides, output: Sides) -> ScoreValue:
        """Alternate."""
        self.calls += 1
        return ScoreValue(value=float(self.calls % 2))


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        (counts_missing_as_zero, "missing, not 0"),
        (says_nothing, "can judge"),
        (leaves_the_scale, "from 0 to 1"),
        (changes_its_input, "changes neither"),
        (Flickers(), "the same each time"),
    ],
)
def test_a_broken_promise_is_found(scorer: Scorer, words: str) -> None:
    """The suite can fail, and says what was promised."""
    with pytest.raises(AssertionError, match=words):
        check_scorer(scorer, EXPECTED, dict(OUTPUT))


def test_a_refusal_that_does_not_come_is_found() -> None:
    """`refuses` fails when nothing is refused, and lets other errors through."""
    with pytest.raises(AssertionError, match="must be refused"), refuses(ValueError, "must be refused"):
        pass
    with pytest.raises(TypeError), refuses(ValueError, "must be refused"):
        raise TypeError
