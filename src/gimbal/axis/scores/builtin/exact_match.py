"""Exact match: 1 when the output is one of the accepted answers, word for word after normalisation, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import answers, output_text, words
from gimbal.axis.scores.model import SCORERS, ScoreValue


def exact_match(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare the output with each accepted answer."""
    accepted, text = answers(expected), output_text(output)
    if not accepted:
        return ScoreValue(value=None, missing="no_expectation")
    if text is None:
        return ScoreValue(value=None, missing="no_output")
    said = words(text)
    hit = any(said == words(answer) for answer in accepted)
    return ScoreValue(value=float(hit), label="match" if hit else "no match")


SCORERS.add("exact_match", exact_match)
