"""Latency of an answer, as the target measured it."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.regression import number
from gimbal.axis.scores.builtin.texts import missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer


def measured(output: Mapping[str, Any], field: str) -> ScoreValue:
    """Return a number that a target measured, or why it is missing; below 0 nothing can be measured."""
    told = output.get(field)
    if told is None:
        return missing(Missing.NO_OUTPUT)
    found = number(told)
    if found is None or found < 0:
        return missing(Missing.UNPARSEABLE, f"{field} is not a number from 0 up")
    return ScoreValue(value=found)


@scorer(
    ScorerCard(
        name="latency",
        title="Latency",
        high=None,
        better="lower",
        unit="ms",
        reads=("latency_ms",),
        description="Milliseconds from the call to the whole answer.",
        limits="It has the load of whoever measured in it: calls at the same time wait for one another, and an answer that "
        "was taken from an earlier run has the latency of then. A mean hides the slow ones.",
        source="The target's clock",
    )
)
def latency(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Return the milliseconds."""
    return measured(output, "latency_ms")
