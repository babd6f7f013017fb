"""Trajectory: the way of an agent by the names of its tools."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.trajectory import trajectory
from gimbal.testing.scorers import check_scorer


def gone(*names: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": {}} for name in names]}


@pytest.mark.parametrize(
    ("said", "exact", "in_order", "any_order", "precision", "recall"),
    [
        (["find", "book"], 1, 1, 1, 1.0, 1.0),
        (["find", "look", "book"], 0, 1, 1, 2 / 3, 1.0),
        (["book", "find"], 0, 0, 1, 1.0, 1.0),
        (["find", "find"], 0, 0, 0, 0.5, 0.5),
        (["pay"], 0, 0, 0, 0.0, 0.0),
    ],
)
def test_five_ways_to_compare(
    said: list[str], exact: float, in_order: float, any_order: float, precision: float, recall: float
) -> None:
    """By hand, against find and then book."""
    expected = {"steps": ["find", {"name": "book"}]}
    found = [
        trajectory(expected, gone(*said), match=one).value
        for one in ("exact", "in_order", "any_order", "precision", "recall")
    ]

    assert found == pytest.approx([exact, in_order, any_order, precision, recall])
    assert trajectory(expected, gone(*said)).value == in_order


def test_expected_calls_stand_in_for_steps_and_messages_for_calls() -> None:
    """As the wire has them, or as objects with a name."""
    steps = [
        {"role": "user", "content": "Book it."},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "book"}]},
    ]

    assert trajectory(gone("find", "book"), {"steps": steps}, match="exact").value == 1.0
    assert trajectory({"steps": ["book"]}, {"steps": steps}, match="exact").value == 0.0
    assert trajectory({"steps": ["find"]}, {"steps": steps}).explanation == "find → book for find"


def test_no_step_is_a_way_too_but_of_nothing_there_is_no_share() -> None:
    assert trajectory({"steps": []}, gone(), match="exact").value == 1.0
    assert trajectory({"steps": []}, gone("find"), match="exact").value == 0.0
    assert trajectory({"steps": ["find"]}, gone(), match="precision").missing == "no_output"
    assert trajectory({"steps": []}, gone("find"), match="recall").missing == "no_expectation"
    assert trajectory({"steps": ["find"]}, gone(), match="recall").value == 0.0


@pytest.mark.parametrize(
    ("expected", "output", "reason"),
    [
        ({}, gone("find"), "no_expectation"),
        ({"steps": None, "tool_calls": None}, gone("find"), "no_expectation"),
        ({"steps": "find"}, gone("find"), "bad_expectation"),
        ({"steps": [3]}, gone("find"), "bad_expectation"),
        ({"steps": ["find"]}, {}, "no_output"),
        ({"steps": ["find"]}, {"tool_calls": [{"id": 3}]}, "unparseable"),
    ],
)
def test_what_is_no_way_is_missing_with_a_reason(expected: Any, output: Any, reason: str) -> None:
    found = trajectory(expected, output)

    assert (found.value, found.missing) == (None, reason)


def test_it_keeps_the_promises_of_scorers() -> None:
    check_scorer(trajectory, {"steps": ["find"]}, gone("find", "\x00", "\ud800"))
    assert trajectory({"steps": ["find"]}, gone(*(["find"] * 200_000))).value == 1.0
