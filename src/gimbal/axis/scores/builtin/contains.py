"""Contains: 1 when the output has all that it must have, one of what it may have, and nothing that it must not have."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import composed, listed, missing, output_text
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

_SHOWN = 80


@scorer(
    ScorerCard(
        name="contains",
        title="Contains",
        type=ScoreType.BINARY,
        expects=("contains", "contains_any", "excludes"),
        description="1 when the output has every text of `contains`, one of `contains_any` and none of `excludes`; what "
        "the expectation leaves out is not asked for.",
        limits="Finds texts anywhere, also inside a longer word or behind a `not`.",
        source="Unicode normalisation form C (Unicode Standard Annex 15), then search for the text as it stands",
    )
)
def contains(expected: Mapping[str, Any], output: Mapping[str, Any], *, ignore_case: bool = False) -> ScoreValue:
    """Look for each expected text in the output."""
    wanted, some, unwanted = (listed(expected, name, name) for name in ("contains", "contains_any", "excludes"))
    text = output_text(output)
    if not (wanted or some or unwanted):
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    whole = composed(text, ignore_case=ignore_case)

    def there(one: str) -> bool:
        return composed(one, ignore_case=ignore_case) in whole

    wrong = [f"{one[:_SHOWN]!r} is not there" for one in wanted if not there(one)]
    if some and not any(there(one) for one in some):
        wrong.append(f"none of {len(some)} is there, {some[0][:_SHOWN]!r} for one")
    wrong += [f"{one[:_SHOWN]!r} is there" for one in unwanted if there(one)]
    return ScoreValue(value=float(not wrong), explanation="; ".join(wrong[:3]))
