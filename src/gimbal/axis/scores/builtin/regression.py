"""Errors of predicted numbers: of each example where the suite's value is their mean, and over the suite where it is not.

Source: scikit-learn's user guide (3.4.6) for all but smape (Makridakis 1993; here as a share, from 0 to 2) and
Spearman's correlation of ranks (Spearman 1904, ties by mid-ranks). A percentage of 0 is undefined, not huge.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import numpy as np

from gimbal.axis.scores.builtin.numbers import numbers
from gimbal.axis.scores.builtin.texts import missing, too_long
from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import metric, scorer
from gimbal.engines.stats.distributions import ranks

_READS = ("value", "text")
_LIMITS = "A text counts by the only number in it, 12 % as 0.12; one with several numbers, or none, is unparseable."
_LONGEST = 1_000_000
Pair = tuple[float, float]


def number(value: Any) -> float | None:
    """Return a finite number, or None for what is none; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def read_pair(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Pair | ScoreValue:
    """Return the expected and the predicted number, or why one is missing."""
    wanted = number(expected.get("value"))
    if wanted is None:
        return missing(Missing.NO_EXPECTATION)
    value, text = output.get("value"), output.get("text")
    if value is not None:
        said = number(value)
        if said is None:
            return missing(Missing.UNPARSEABLE, "the value is not a finite number")
        return wanted, said
    if not isinstance(text, str):
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text], _LONGEST)) is not None:
        return long
    found = {float(one.value / 100 if one.percent else one.value) for one in numbers(text)}
    if len(found) != 1:
        why = f"{len(found)} numbers are in the text" if found else "no number is in the text"
        return missing(Missing.UNPARSEABLE, why)
    return wanted, found.pop()


def _card(name: str, title: str, description: str, source: str, **rest: Any) -> ScorerCard:
    fields: dict[str, Any] = {"high": None, "better": "lower", "limits": _LIMITS, **rest}
    return ScorerCard(
        name=name, title=title, expects=("value",), reads=_READS, description=description, source=source, **fields
    )


def _scored(pair: Pair, value: float) -> ScoreValue:
    wanted, said = pair
    return ScoreValue(value=value, explanation=f"{said:g} for {wanted:g}")


@scorer(
    _card(
        "mae",
        "Absolute error",
        "Distance of the prediction from the value; the mean is the MAE.",
        "scikit-learn, mean_absolute_error",
    )
)
def mae(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return |prediction − value|."""
    pair = read_pair(expected, output)
    return pair if isinstance(pair, ScoreValue) else _scored(pair, abs(pair[1] - pair[0]))


@scorer(
    _card(
        "mape",
        "Absolute percentage error",
        "Distance of the prediction from the value as a share of the value: 0.1 is 10 %; the mean is the MAPE.",
        "scikit-learn, mean_absolute_percentage_error",
        limits=_LIMITS + " Of a value of 0 there is no share. It forgives predictions that are too low.",
    )
)
def mape(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return |prediction − value| / |value|; of 0 there is none, which is the suite's and no gap in the evidence."""
    pair = read_pair(expected, output)
    if isinstance(pair, ScoreValue):
        return pair
    if not pair[0] or not math.isfinite(share := abs(pair[1] - pair[0]) / abs(pair[0])):
        return missing(Missing.NO_EXPECTATION, "of 0 there is no share")
    return _scored(pair, share)


@scorer(
    _card(
        "smape",
        "Symmetric percentage error",
        "Distance of prediction and value as a share of the mean of their sizes: from 0 to 2; two zeros agree.",
        "Makridakis 1993",
        high=2.0,
        limits=_LIMITS + " Against a value of 0 every prediction but 0 has the worst value.",
    )
)
def smape(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return 2·|prediction − value| / (|prediction| + |value|)."""
    pair = read_pair(expected, output)
    if isinstance(pair, ScoreValue):
        return pair
    # Halves, because the sum of two large numbers has no place in a float.
    wanted, said = pair[0] / 2, pair[1] / 2
    size = abs(wanted) + abs(said)
    return _scored(pair, min(2.0, 2 * abs(said - wanted) / size) if size else 0.0)


@scorer(
    _card(
        "pinball",
        "Pinball loss",
        "Loss of a predicted quantile: a value above it costs `quantile` of the distance, one below it the rest.",
        "Koenker and Bassett 1978; scikit-learn, mean_pinball_loss",
    )
)
def pinball(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    quantile: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5,
) -> ScoreValue:
    """Return the loss of a quantile."""
    pair = read_pair(expected, output)
    if isinstance(pair, ScoreValue):
        return pair
    above = pair[0] - pair[1]
    return _scored(pair, max(quantile * above, (quantile - 1) * above))


def _columns(samples: Sequence[Pair]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if not samples:
        raise ValueError("no values")
    both = np.asarray(samples, dtype=np.float64)
    return both[:, 0], both[:, 1]


@metric(
    _card("rmse", "Root mean squared error", "Root of the mean squared distance; large errors count most.",
          "scikit-learn, root_mean_squared_error", level=Level.SUITE),
    read_pair,
)  # fmt: skip
def rmse(samples: Sequence[Pair]) -> float:
    """Return the root of the mean squared error."""
    wanted, said = _columns(samples)
    return float(np.sqrt(np.mean((said - wanted) ** 2)))


@metric(
    _card(
        "r2",
        "R²",
        "Share of the values' variance that the predictions explain; 0 is as good as their mean, below 0 worse.",
        "scikit-learn, r2_score",
        level=Level.SUITE,
        low=None,
        high=1.0,
        better="higher",
    ),
    read_pair,
)
def r2(samples: Sequence[Pair]) -> float:
    """Return the coefficient of determination; undefined where the expected values are all the same."""
    wanted, said = _columns(samples)
    if (wanted == wanted[0]).all():
        raise ValueError("the expected values have no variance")
    return float(1 - ((wanted - said) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


@metric(
    _card(
        "spearman",
        "Spearman correlation",
        "Whether larger predictions go with larger values: 1 is the same order, 0 none, −1 the reverse.",
        "Spearman 1904, ties by mid-ranks",
        level=Level.SUITE,
        low=-1.0,
        high=1.0,
        better="higher",
    ),
    read_pair,
)
def spearman(samples: Sequence[Pair]) -> float:
    """Return the correlation of ranks; undefined where one side is the same throughout."""
    wanted, said = _columns(samples)
    for values, whose in ((wanted, "expected values"), (said, "predictions")):
        if (values == values[0]).all():
            raise ValueError(f"the {whose} have no variance")
    return float(np.clip(np.corrcoef(ranks(wanted), ranks(said))[0, 1], -1, 1))
