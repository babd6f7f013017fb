"""Exact text: 1 when the output is one of the accepted answers, character for character, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import compared, composed
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="exact",
        title="Exact text",
        type=ScoreType.BINARY,
        expects=("answers", "answer"),
        description="1 when the output is one of the accepted answers, character for character. `strip` leaves out the "
        "space around it, `ignore_case` the case.",
        limits="A full stop more is wrong to it; `exact_match` compares words instead.",
        source="Unicode normalisation form C (Unicode Standard Annex 15), then equality",
    )
)
def exact(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, strip: bool = False, ignore_case: bool = False
) -> ScoreValue:
    """Compare the output with each accepted answer."""
    sides = compared(expected, output)
    if isinstance(sides, ScoreValue):
        return sides
    accepted, text = sides

    def read(one: str) -> str:
        whole = composed(one, ignore_case=ignore_case)
        return whole.strip() if strip else whole

    said = read(text)
    hit = any(said == read(answer) for answer in accepted)
    return ScoreValue(value=float(hit), label="match" if hit else "no match")
