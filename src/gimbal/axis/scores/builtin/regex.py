"""Pattern: 1 when every expected pattern is found in the output, else 0; on RE2, so that no text takes more than linear time."""

import functools
from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, listed, missing, output_text
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.engines.text.matching import Pattern, pattern
from gimbal.kernel.errors import BadInput

_SHOWN = 80


@scorer(
    ScorerCard(
        name="regex",
        title="Pattern",
        type=ScoreType.BINARY,
        expects=("regex",),
        description="1 when the output matches `regex`, or every one of a list of them. `whole` asks for the whole output "
        "instead of a part of it, `ignore_case` leaves out the case.",
        limits="RE2's syntax: no look-around and no back references. A lone surrogate is read as U+FFFD.",
        source="RE2, https://github.com/google/re2/wiki/Syntax",
    )
)
def regex(
    expected: Mapping[str, Any], output: Mapping[str, Any], *, ignore_case: bool = False, whole: bool = False
) -> ScoreValue:
    """Search the output for each expected pattern."""
    wanted, text = listed(expected, "regex", "regex"), output_text(output)
    if not wanted:
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    data = text.encode(errors="replace")
    for one in wanted:
        try:
            found = _compiled(one, ignore_case, whole).search(data)
        except BadInput as problem:
            return missing(BAD_EXPECTATION, f"{one[:_SHOWN]!r}: {problem.message}")
        if found is None:
            return ScoreValue(value=0.0, label="no match", explanation=f"{one[:_SHOWN]!r} does not match")
    return ScoreValue(value=1.0, label="match")


@functools.lru_cache(maxsize=256)
def _compiled(text: str, ignore_case: bool, whole: bool) -> Pattern:
    # Asked for by itself first, so that a parenthesis too many does not close ours.
    found = pattern(text)
    if not (ignore_case or whole):
        return found
    start, end = (r"\A", r"\z") if whole else ("", "")
    return pattern(f"{'(?i)' if ignore_case else ''}{start}(?:{text}){end}")
