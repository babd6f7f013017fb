"""Contains: all that must be there, one of what may be there, and nothing of what must not."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.contains import contains

TEXT = "The gate moves the alias; café."


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ({"contains": "gate"}, 1.0),
        ({"contains": ["gate", "alias"]}, 1.0),
        ({"contains": ["gate", "ring"]}, 0.0),
        ({"contains": "Gate"}, 0.0),
        ({"contains": "cafe\u0301"}, 1.0),
        ({"contains_any": ["ring", "alias"]}, 1.0),
        ({"contains_any": ["ring", "axis"]}, 0.0),
        ({"excludes": ["ring", "axis"]}, 1.0),
        ({"excludes": ["ring", "alias"]}, 0.0),
        ({"contains": "gate", "contains_any": ["alias"], "excludes": "ring"}, 1.0),
        ({"contains": "gate", "contains_any": ["alias"], "excludes": "moves"}, 0.0),
    ],
)
def test_all_three_conditions_hold_together(expected: dict[str, Any], value: float) -> None:
    """Case counts, the form of an accent does not."""
    assert contains(expected, {"text": TEXT}).value == value


def test_case_can_be_left_out_and_what_is_wrong_is_named() -> None:
    assert contains({"contains": "GATE", "excludes": "ring"}, {"text": TEXT}, ignore_case=True).value == 1
    found = contains({"contains": ["ring"], "excludes": ["alias"]}, {"text": TEXT})
    assert found.explanation == "'ring' is not there; 'alias' is there"


@pytest.mark.parametrize("expected", [{}, {"contains": None}, {"contains": [], "excludes": []}])
def test_without_a_condition_the_score_is_missing(expected: dict[str, Any]) -> None:
    assert contains(expected, {"text": TEXT}).missing == "no_expectation"
    assert contains({"contains": "x"}, {}).missing == "no_output"


def test_any_text_can_be_searched() -> None:
    """Nothing, NUL bytes, lone surrogates, five megabytes."""
    assert contains({"contains": "x"}, {"text": ""}).value == 0
    assert contains({"contains": "\x00b"}, {"text": "a\x00b"}).value == 1
    assert contains({"contains": "\ud800"}, {"text": "a\ud800"}).value == 1
    assert contains({"contains": "ab"}, {"text": "a" * 5_000_000 + "b"}).value == 1
