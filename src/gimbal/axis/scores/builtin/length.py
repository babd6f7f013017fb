"""Length: how many words or characters the output has, and whether that is within bounds."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.scores.builtin.texts import missing, output_text
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

Count = Annotated[int, msgspec.Meta(ge=0)]
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_LIMITS = "Words of scripts without spaces, such as Chinese, are counted as one for each run of signs."
_SOURCE = "Word characters and code points as Unicode and Python's `re` have them"


@scorer(
    ScorerCard(
        name="length",
        title="Length in words",
        high=None,
        better="neither",
        unit="words",
        description="How many words the output has.",
        limits=_LIMITS,
        source=_SOURCE,
    )
)
def length(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Count the words of the output."""
    text = output_text(output)
    return missing(Missing.NO_OUTPUT) if text is None else ScoreValue(value=float(_counted(text, "words")))


@scorer(
    ScorerCard(
        name="length_characters",
        title="Length in characters",
        high=None,
        better="neither",
        unit="characters",
        description="How many characters the output has.",
        limits="Code points, not what people see as one sign: some emoji have several.",
        source=_SOURCE,
    )
)
def length_characters(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Count the characters of the output."""
    text = output_text(output)
    return missing(Missing.NO_OUTPUT) if text is None else ScoreValue(value=float(_counted(text, "characters")))


@scorer(
    ScorerCard(
        name="length_within",
        title="Length within bounds",
        type=ScoreType.BINARY,
        description="1 when the output has at least `least` and at most `most` words (or characters, by `unit`).",
        limits=_LIMITS,
        source=_SOURCE,
    )
)
def length_within(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    least: Count = 1,
    most: Count | None = None,
    unit: Literal["words", "characters"] = "words",
) -> ScoreValue:
    """Compare the length of the output with the bounds."""
    text = output_text(output)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    count = _counted(text, unit)
    label = "too short" if count < least else "too long" if most is not None and count > most else "within"
    return ScoreValue(value=float(label == "within"), label=label, explanation=f"{count} {unit}")


def _counted(text: str, unit: str) -> int:
    return len(text) if unit == "characters" else sum(1 for _ in _WORD.finditer(text))
