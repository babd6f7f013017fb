"""Exact text: every character counts, in whichever form Unicode has it."""

import pytest

from gimbal.axis.scores.builtin.exact import exact


@pytest.mark.parametrize(
    ("answer", "text", "value"),
    [
        ("The gate.", "The gate.", 1.0),
        ("The gate.", "The gate", 0.0),
        ("The gate.", "the gate.", 0.0),
        ("The gate.", " The gate.", 0.0),
        ("cafe\u0301", "caf\u00e9", 1.0),
        ("\ufb01ne", "fine", 0.0),
        ("", "", 1.0),
        ("\ud800", "\ud800", 1.0),
        ("a\x00", "a", 0.0),
    ],
)
def test_every_character_counts(answer: str, text: str, value: float) -> None:
    """Only the form of an accent does not; a ligature is another character."""
    assert exact({"answer": answer}, {"text": text}).value == value


def test_space_and_case_can_be_left_out() -> None:
    """Each by its own parameter, and not within the text."""
    expected, output = {"answers": ["no", "Straße 5"]}, {"text": " STRASSE 5\n"}

    assert exact(expected, output, strip=True).value == 0
    assert exact(expected, output, ignore_case=True).value == 0
    assert exact(expected, output, strip=True, ignore_case=True).value == 1
    assert exact(expected, {"text": "Straße  5"}, strip=True).value == 0


def test_what_is_not_there_is_missing() -> None:
    assert exact({}, {"text": "x"}).missing == "no_expectation"
    assert exact({"answer": None}, {"text": "x"}).missing == "no_expectation"
    assert exact({"answer": "x"}, {"text": None}).missing == "no_output"
