"""Patterns: RE2's, in linear time, and a bad one is told from a text that does not match."""

import time

import pytest

from gimbal.axis.scores.builtin.regex import regex


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (r"\d+ times", "42 times", 1.0),
        ([r"\d+", "gate"], "42 gates", 1.0),
        ([r"\d+", "gate"], "42 rings", 0.0),
        ("gate", "GATE", 0.0),
        ("^é.$", "éx", 1.0),
        ("漢+", "漢漢", 1.0),
        ("a", "", 0.0),
        ("", "", 1.0),
        ("a.b", "a\x00b", 1.0),
        ("x", "\ud800x", 1.0),
    ],
)
def test_every_pattern_must_be_found(pattern: object, text: str, value: float) -> None:
    assert regex({"regex": pattern}, {"text": text}).value == value


def test_the_whole_output_can_be_asked_for_and_case_left_out() -> None:
    """A pattern with alternatives is one pattern, also within the anchors."""
    assert regex({"regex": "yes|no"}, {"text": "yes, no"}, whole=True).value == 0
    assert regex({"regex": "yes|no"}, {"text": "NO"}, whole=True, ignore_case=True).value == 1
    assert regex({"regex": "a.b"}, {"text": "xaXBx"}, ignore_case=True).value == 1


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "a{2000}", "x)|(y", "\ud800"])
def test_a_bad_pattern_is_a_reason_not_a_miss(pattern: str) -> None:
    """RE2's own words say why; a parenthesis too many does not slip into ours."""
    for whole in (False, True):
        found = regex({"regex": pattern}, {"text": "x"}, whole=whole)
        assert (found.value, found.missing) == (None, "bad_expectation")
        assert "pattern" in found.explanation


def test_what_is_not_there_is_missing() -> None:
    assert regex({}, {"text": "x"}).missing == "no_expectation"
    assert regex({"regex": "x"}, {"text": 3}).missing == "no_output"


def test_a_pattern_that_backtracks_elsewhere_takes_linear_time() -> None:
    """Python's own engine would take 2^50 steps and more."""
    begun = time.monotonic()
    assert regex({"regex": "^(a+)+$"}, {"text": "a" * 1_000_000 + "b"}).value == 0
    assert time.monotonic() - begun < 5
