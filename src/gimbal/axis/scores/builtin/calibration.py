"""How far probabilities can be taken at their word: Brier score, log loss, expected calibration error.

Sources: Brier 1950, halved so that two classes score the squared error of one probability (scikit-learn's
`scale_by_half`); Good 1952 for the logarithmic loss; Naeini et al. 2015 for the calibration error, with bins of equal
mass (Nguyen and O'Connor 2015).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from gimbal.axis.scores.builtin.labels import Forecast, read_chances
from gimbal.axis.scores.card import Level, ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import metric, scorer

_CLIP = float(np.finfo(np.float64).eps)
"""As scikit-learn clips probabilities, so that a certain error costs much and not all."""


@scorer(
    ScorerCard(
        name="brier",
        title="Brier score",
        better="lower",
        expects=("label",),
        reads=("value",),
        description="Half the squared distance of the probabilities from the label: 0 is certain and right, 1 certain and wrong.",
        limits="Right answers that are unsure and sure answers that are wrong add up in one number; it depends on the base rate.",
        source="Brier 1950; scikit-learn, brier_score_loss",
    )
)
def brier(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return half the squared error over the classes."""
    read = read_chances(expected, output)
    if isinstance(read, ScoreValue):
        return read
    names = {*read.chances, read.label}
    value = sum((read.chances.get(name, 0.0) - (name == read.label)) ** 2 for name in names) / 2
    return ScoreValue(value=min(value, 1.0), explanation=_held(read))


@scorer(
    ScorerCard(
        name="log_loss",
        title="Log loss",
        high=None,
        better="lower",
        unit="nats",
        expects=("label",),
        reads=("value",),
        description="Minus the logarithm of the probability of the expected label: 0 is certain and right.",
        limits="One certain error outweighs many right answers; probabilities are kept 2.2e-16 away from 0 and 1.",
        source="Good 1952; scikit-learn, log_loss",
    )
)
def log_loss(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return the surprise at the label."""
    read = read_chances(expected, output)
    if isinstance(read, ScoreValue):
        return read
    chance = min(max(read.chances.get(read.label, 0.0), _CLIP), 1 - _CLIP)
    return ScoreValue(value=-math.log(chance), explanation=_held(read))


@metric(
    ScorerCard(
        name="ece",
        title="Expected calibration error",
        level=Level.SUITE,
        better="lower",
        expects=("label",),
        reads=("value",),
        description="Mean distance between how sure the outputs are of their class and how often it is right, over bins of "
        "equal mass; with `positive`, between the probability of that class and how often it is expected.",
        limits="Never below 0, so it is above 0 for a perfect forecaster as well, the more the fewer outputs a bin has; "
        "of more than two classes it sees the likeliest only.",
        source="Naeini et al. 2015; Nguyen and O'Connor 2015 for the bins",
    ),
    read_chances,
)
def ece(
    samples: Sequence[Forecast], *, bins: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10, positive: str = ""
) -> float:
    """Return the calibration error; undefined where there are fewer outputs than bins."""
    if len(samples) < bins:
        raise ValueError(f"{len(samples)} outputs are fewer than {bins} bins")
    names = [positive or max(one.chances, key=lambda name: one.chances[name]) for one in samples]
    held = np.array([one.chances.get(name, 0.0) for one, name in zip(samples, names, strict=True)])
    right = np.array([float(one.label == name) for one, name in zip(samples, names, strict=True)])
    # Outputs that are equally sure share what came true, or their order would decide which bin has it.
    _, place = np.unique(held, return_inverse=True)
    shared = (np.bincount(place, weights=right) / np.bincount(place))[place]
    order = np.argsort(held, kind="stable")
    parts = zip(np.array_split(held[order], bins), np.array_split(shared[order], bins), strict=True)
    return float(sum(abs(sure.mean() - came.mean()) * sure.size for sure, came in parts) / held.size)


def _held(read: Forecast) -> str:
    return f"{read.chances.get(read.label, 0.0):.3g} for {read.label}"
