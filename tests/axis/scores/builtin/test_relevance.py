"""Answer relevance by words."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.relevance import answer_relevance, question_of
from gimbal.testing.scorers import check_scorer


def relevance(question: str, text: str) -> Any:
    return answer_relevance({}, {"text": text, "input": {"question": question}})


def test_it_is_the_share_of_the_questions_words_that_the_answer_takes_up() -> None:
    """Question words and those of asking do not count; stems do."""
    assert relevance("When does the gate open?", "The gate opens at eight.").value == 1.0
    assert relevance("Please explain how gates are moved.", "The gate stands still.").value == 0.5
    assert relevance("When does the gate open?", "Keys cost five dollars.").value == 0.0
    assert relevance("When does the gate open?", "It opens.").explanation == "not taken up: gate"


def test_it_cannot_tell_a_wrong_answer_from_a_right_one() -> None:
    """And its card says so."""
    assert relevance("When does the gate open?", "The gate never opens.").value == 1.0
    assert "cannot tell a right answer from a wrong one" in answer_relevance.card.limits


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ({"question": "Why?", "text": "x"}, "Why?"),
        ({"text": "Why so?"}, "Why so?"),
        ({"a": "one", "n": 3, "b": "two"}, "one\ntwo"),
        ({}, ""),
        (None, ""),
        ("Why?", ""),
    ],
)
def test_the_question_is_the_inputs_own_or_all_its_texts(given: Any, question: str) -> None:
    assert question_of({"input": given}) == question


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({}, "no_output"),
        ({"text": "x"}, "no_output"),
        ({"text": "x", "input": {"question": "  "}}, "no_output"),
        ({"text": "x", "input": {"question": "Who is it?"}}, "no_output"),
        ({"input": {"question": "When does the gate open?"}}, "no_output"),
        ({"text": "a " * 2_500_000, "input": {"question": "gate?"}}, "too_long"),
    ],
)
def test_without_a_question_or_an_answer_there_is_no_value(output: dict[str, Any], reason: str) -> None:
    found = answer_relevance({}, output)

    assert (found.value, found.missing) == (None, reason)


def test_it_keeps_the_promises_of_scorers() -> None:
    check_scorer(answer_relevance, {}, {"text": "The gate opens.", "input": {"question": "Does the gate open?"}})
