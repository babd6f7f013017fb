"""Exact match: 1 when the output is one of the accepted answers, word for word after normalisation, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import compared, words
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="exact_match",
        title="Exact match",
        type=ScoreType.BINARY,
        expects=("answers", "answer"),
        description="1 when the output is one of the accepted answers, word for word; case, articles, punctuation and "
        "spacing do not count.",
        limits="A right answer in other words is wrong to it, as is a right answer within a sentence.",
        source="SQuAD 1.1's evaluation (Rajpurkar et al., arXiv 1606.05250), with Unicode words; numbers keep sign and point",
    )
)
def exact_match(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare the output with each accepted answer."""
    sides = compared(expected, output)
    if isinstance(sides, ScoreValue):
        return sides
    accepted, text = sides
    said = words(text)
    hit = any(said == words(answer) for answer in accepted)
    return ScoreValue(value=float(hit), label="match" if hit else "no match")
