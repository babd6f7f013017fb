"""Token F1: harmonic mean of word precision and recall against the best of the accepted answers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import compared, words
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import scorer


def f1(said: list[str], wanted: list[str]) -> float:
    """Return the F1 of two lists of words; two empty lists agree (1), one empty list does not (0)."""
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


@scorer(
    ScorerCard(
        name="token_f1",
        title="Token F1",
        expects=("answers", "answer"),
        description="Harmonic mean of the share of the output's words that are wanted and the share of the wanted words "
        "that the output has, against the accepted answer that fits best.",
        limits="Knows words, not meaning: `not` is one word of many, and the order of words does not count.",
        source="SQuAD 1.1's evaluation (Rajpurkar et al., arXiv 1606.05250), with words as multisets",
    )
)
def token_f1(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Score the output against each accepted answer and keep the best."""
    sides = compared(expected, output)
    if isinstance(sides, ScoreValue):
        return sides
    accepted, text = sides
    said = words(text)
    return ScoreValue(value=max(f1(said, words(answer)) for answer in accepted))
