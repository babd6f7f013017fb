"""Which class an output names: by its value, by its probabilities, or in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.labels import NO_CLASS, Forecast, Named, class_in, read_chances, read_class
from gimbal.axis.scores.model import ScoreValue

MOODS = ("negative", "neutral", "positive", "very positive")


def said(label: object, value: object, classes: tuple[str, ...] = ()) -> str:
    read = read_class({"label": label}, {"value": value})
    assert isinstance(read, Named)
    return read.said(classes)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Positive.", "positive"),
        ("The review is **very positive**!", "very positive"),
        ("very positive, not merely positive", NO_CLASS),
        ("Sentiment: NEUTRAL", "neutral"),
        ("neutral or negative", NO_CLASS),
        ("non-negative", NO_CLASS),
        ("negatively", NO_CLASS),
        ("", NO_CLASS),
        ("\x00\ud800", NO_CLASS),
    ],
)
def test_a_text_names_the_one_class_that_stands_in_it(text: str, named: str) -> None:
    """A longer name is no mention of the shorter one in it, and a part of a word is none at all."""
    assert class_in(text, MOODS) == named


@pytest.mark.parametrize(
    ("text", "classes", "named"),
    [
        ("The answer is A.", ("A", "B"), "A"),
        ("a good one is B", ("A", "B"), "B"),
        ("a", ("A", "B"), "A"),
        ("これは肯定的です", ("肯定", "否定"), "肯定"),
        ("It is -1", ("-1", "1"), "-1"),
        ("x" * 5_000_000, ("A", "spam"), NO_CLASS),
    ],
)
def test_letters_scripts_without_spaces_and_signs_are_classes_too(
    text: str, classes: tuple[str, ...], named: str
) -> None:
    """A single letter counts in its own case within a sentence, or the article would be class A."""
    assert class_in(text, classes) == named


@pytest.mark.parametrize(
    ("label", "value", "named"),
    [
        (True, 1, "true"),
        (1, True, "1"),
        (True, 0.83, "true"),
        (0, 0.2, "0"),
        (3, 3.0, "3"),
        ("3", 3, "3"),
        ("no", {"yes": 0.2, "no": 0.8}, "no"),
        ("cat", "dog", "dog"),
    ],
)
def test_a_value_is_a_class_by_name(label: object, value: object, named: str) -> None:
    """True is 1 where the suite says 1, a probability is that of true, and the likeliest of several is the class."""
    assert said(label, value) == named


@pytest.mark.parametrize(
    ("expected", "output", "reason"),
    [
        ({}, {"value": "x"}, "no_expectation"),
        ({"label": None}, {"value": "x"}, "no_expectation"),
        ({"label": "x"}, {}, "no_output"),
        ({"label": "x"}, {"value": None, "text": None}, "no_output"),
        ({"label": "x"}, {"value": [1]}, "unparseable"),
        ({"label": "x"}, {"value": {"x": 2.0}}, "unparseable"),
        ({"label": "x"}, {"value": {"x": 0.2, "y": 0.2}}, "unparseable"),
        ({"label": "x"}, {"value": {"x": float("nan")}}, "unparseable"),
    ],
)
def test_what_names_no_class_is_missing_with_a_reason(expected: Any, output: Any, reason: str) -> None:
    read = read_class(expected, output)

    assert isinstance(read, ScoreValue)
    assert (read.value, read.missing) == (None, reason)


@pytest.mark.parametrize("value", ["yes", 0.4, True, {"yes": "most"}])
def test_probabilities_are_asked_for_by_class(value: object) -> None:
    """A class alone, or a number whose class nobody knows, is no forecast."""
    read = read_chances({"label": "yes"}, {"value": value, "text": "yes"})

    assert isinstance(read, ScoreValue)
    assert read.missing == "unparseable"


def test_a_lone_number_is_the_probability_of_true() -> None:
    read = read_chances({"label": False}, {"value": 0.25})

    assert read == Forecast(label="false", chances={"true": 0.25, "false": 0.75})


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_any_text_names_one_of_the_classes_or_none(text: str, classes: list[str]) -> None:
    assert class_in(text, classes) in {*classes, NO_CLASS}
