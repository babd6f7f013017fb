"""Token F1: harmonic mean of word precision and recall against the best of the accepted answers.

Source: SQuAD 1.1's evaluation; with words as multisets.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import answers, output_text, words
from gimbal.axis.scores.model import SCORERS, ScoreValue


def f1(said: list[str], wanted: list[str]) -> float:
    """Return the F1 of two lists of words; two empty lists agree (1), one empty list does not (0)."""
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def token_f1(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Score the output against each accepted answer and keep the best."""
    accepted, text = answers(expected), output_text(output)
    if not accepted:
        return ScoreValue(value=None, missing="no_expectation")
    if text is None:
        return ScoreValue(value=None, missing="no_output")
    said = words(text)
    return ScoreValue(value=max(f1(said, words(answer)) for answer in accepted))


SCORERS.add("token_f1", token_f1)
