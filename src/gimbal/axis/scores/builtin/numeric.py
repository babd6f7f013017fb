"""Number: 1 when the number that stands in the output is the expected one, within a tolerance, else 0."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.scores.builtin.numbers import Number, numbers
from gimbal.axis.scores.builtin.texts import answers, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

Tolerance = Annotated[float, msgspec.Meta(ge=0)]
_SHOWN = 40
_LONGEST = 1_000_000


@scorer(
    ScorerCard(
        name="numeric",
        title="Number",
        type=ScoreType.BINARY,
        expects=("number", "answers", "answer"),
        description="1 when the number in the output is an expected one: |said − wanted| ≤ max(absolute, relative × "
        "|wanted|). Thousands separators, percent and powers of ten are read. Of several numbers the `pick` one counts; "
        "12 % is 0.12, or with `percent` as `number` 12; `decimal` says which mark parts the decimals.",
        limits="Does not read units, fractions such as 3/4, or numbers in words. Of several numbers it takes one by its "
        "place, not by its meaning.",
        source="Tolerances as math.isclose has them, with the expected number as the reference",
    )
)
def numeric(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    absolute: Tolerance = 0.0,
    relative: Tolerance = 0.0,
    pick: Literal["last", "first", "only"] = "last",
    percent: Literal["share", "number"] = "share",
    decimal: Literal["point", "comma"] = "point",
) -> ScoreValue:
    """Compare the number of the output with each expected one."""
    given: Any = expected.get("number")
    stated = [given] if given is not None else answers(expected)
    wanted = [value for one in stated if (value := _wanted(one, percent)) is not None]
    if not wanted:
        return missing(Missing.NO_EXPECTATION, "the expectation has no number" if stated else "")
    text = output_text(output)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text], _LONGEST)) is not None:
        return long
    found = numbers(text, comma=decimal == "comma")
    chosen = first = next(found, None)
    if chosen is None or first is None:
        return missing(Missing.UNPARSEABLE, "the output has no number")
    if pick != "first":
        for one in found:
            if pick == "only" and _read(one, percent) != _read(first, percent):
                return missing(
                    Missing.UNPARSEABLE, f"the output has several numbers, {first.written} and {one.written}"
                )
            chosen = one
    said = _read(chosen, percent)
    near = min(wanted, key=lambda one: abs(said - one))
    hit = any(abs(said - one) <= max(Decimal(str(absolute)), Decimal(str(relative)) * abs(one)) for one in wanted)
    return ScoreValue(
        value=float(hit),
        label="match" if hit else "no match",
        explanation=f"said {chosen.written}, wanted {str(near)[:_SHOWN]}",
    )


def _wanted(stated: Any, percent: str) -> Decimal | None:
    """Return an expected number, given as one or as text that holds nothing else; None where it is none."""
    if isinstance(stated, bool):
        return None
    if isinstance(stated, int | float | Decimal):
        value = Decimal(str(stated))
        return value if value.is_finite() else None
    found = list(numbers(str(stated)))
    return _read(found[0], percent) if len(found) == 1 else None


def _read(found: Number, percent: str) -> Decimal:
    return found.value / 100 if found.percent and percent == "share" else found.value
