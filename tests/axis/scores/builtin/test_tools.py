"""Tool calls: which match the expected ones, and what differs first."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.tools import in_any_order, in_order, same, tool_calls
from gimbal.testing.scorers import check_scorer

FIND = {"name": "find", "arguments": {"city": "Bern", "most": 3}}
BOOK = {"name": "book", "arguments": {"id": 7, "price": 0.1 + 0.2}}
CALLS = st.lists(
    st.builds(lambda name, n: {"name": name, "arguments": {"n": n}}, st.sampled_from("ab"), st.integers(0, 2)),
    max_size=5,
)


def scored(wanted: Any, said: Any, **params: Any) -> Any:
    return tool_calls({"tool_calls": wanted}, {"tool_calls": said}, **params)


@pytest.mark.parametrize(
    ("said", "any_order", "strict"),
    [
        ([FIND, BOOK], 1.0, 1.0),
        ([BOOK, FIND], 1.0, 0.5),
        ([FIND], 2 / 3, 2 / 3),
        ([FIND, FIND, BOOK], 0.8, 0.8),
        ([{**FIND, "arguments": {"city": "Basel", "most": 3}}, BOOK], 0.5, 0.5),
        ([{**FIND, "name": "look"}, BOOK], 0.5, 0.5),
        ([], 0.0, 0.0),
    ],
)
def test_it_is_the_f1_of_the_calls_that_match(said: Any, any_order: float, strict: float) -> None:
    """By hand: 2 · matched / (made + expected)."""
    assert scored([FIND, BOOK], said).value == pytest.approx(any_order)
    assert scored([FIND, BOOK], said, order="strict").value == pytest.approx(strict)


def test_where_none_is_expected_none_is_right() -> None:
    """An empty list is an expectation, and no list is none."""
    assert scored([], []).value == 1.0
    assert scored([], [FIND]).value == 0.0
    assert scored(None, [FIND]).missing == "no_expectation"
    assert scored([], None).missing == "no_output"


def test_the_explanation_names_the_first_difference() -> None:
    other = {**FIND, "arguments": {"city": "Basel", "most": 3}}

    assert scored([FIND, BOOK], [FIND, BOOK]).explanation == ""
    assert scored([FIND], [other]).explanation == (
        'wanted find({"city": "Bern", "most": 3}), got find({"city": "Basel", "most": 3})'
    )
    assert scored([FIND, BOOK], [FIND]).explanation.startswith('wanted book({"id": 7')
    assert scored([FIND], [FIND, {"name": "pay"}]).explanation == "pay({}) was not expected"
    assert "wanted find" in scored([FIND, BOOK], [BOOK, FIND], order="strict").explanation


def test_arguments_are_compared_as_json() -> None:
    """In the wire's form or as an object; numbers within the tolerance; true is not 1."""
    wire = {"type": "function", "function": {"name": "find", "arguments": json.dumps(FIND["arguments"])}}
    rounded = {"name": "book", "arguments": {"id": 7.0, "price": 0.3}}

    assert scored([FIND], [wire]).value == 1.0
    assert scored([BOOK], [rounded]).value == 1.0
    assert scored([BOOK], [rounded], tolerance=0.0).value == 0.0
    assert scored([BOOK], [{"name": "book", "arguments": {"id": 7, "price": 0.31}}], tolerance=0.05).value == 1.0
    assert scored([{"name": "a"}], [{"name": "a", "arguments": {}}]).value == 1.0
    assert not same({"on": True}, {"on": 1})
    assert not same([1, 2], [2, 1])
    assert not same(10**400, 1.5)
    assert same({"a": [{"b": None}], "c": "x"}, {"c": "x", "a": [{"b": None}]})


def test_arguments_beyond_the_expected_ones_may_be_left_out_of_it() -> None:
    more = {"name": "find", "arguments": {**FIND["arguments"], "page": 1}}

    assert scored([FIND], [more]).value == 0.0
    assert scored([FIND], [more], arguments="expected").value == 1.0
    assert scored([FIND], [{"name": "find"}], arguments="expected").value == 0.0
    assert scored([FIND], [{"name": "find"}], arguments="none").value == 1.0


@pytest.mark.parametrize(
    ("wanted", "said", "reason"),
    [
        ("find", [FIND], "bad_expectation"),
        ([{"arguments": {}}], [FIND], "bad_expectation"),
        ([FIND], [{"name": 3}], "unparseable"),
        ([FIND], ["find"], "unparseable"),
        ([FIND], [FIND] * 5000, "too_long"),
    ],
)
def test_what_is_no_list_of_calls_is_missing_with_a_reason(wanted: Any, said: Any, reason: str) -> None:
    found = scored(wanted, said)

    assert (found.value, found.missing) == (None, reason)


def test_hostile_arguments_are_compared_like_any_others() -> None:
    nested: Any = []
    for _ in range(5_000):
        nested = [nested]

    for arguments in ("[" * 5_000, "\x00", "\ud800", "x" * 5_000_000, {"\ud800": "\x00"}):
        assert scored([{"name": "a", "arguments": arguments}], [{"name": "a", "arguments": arguments}]).value == 1.0
        assert scored([{"name": "a", "arguments": {}}], [{"name": "a", "arguments": arguments}]).value == 0.0
    assert same(nested, nested)
    check_scorer(tool_calls, {"tool_calls": [FIND]}, {"tool_calls": [FIND, BOOK]})


@given(CALLS, CALLS)
def test_order_never_helps_and_the_same_calls_match_fully(wanted: Any, said: Any) -> None:
    assert scored(wanted, said, order="strict").value <= scored(wanted, said).value
    assert scored(wanted, wanted[::-1]).value == scored(said, said, order="strict").value == 1.0


def test_pairs_are_found_where_taking_the_first_would_lose_one() -> None:
    """The first expected call fits both, the second only the first."""
    fits = [[True, True], [True, False]]

    assert in_any_order(fits) == 2
    assert in_order(fits) == 1
    assert in_order([]) == in_any_order([]) == in_order([[], []]) == 0
