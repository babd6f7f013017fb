"""Trajectory: whether an agent went the expected way, by the names of the tools that it called one after the other."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, missing
from gimbal.axis.scores.builtin.tools import Call, calls_in
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

Match = Literal["exact", "in_order", "any_order", "precision", "recall"]
_SHOWN = 300


@scorer(
    ScorerCard(
        name="trajectory",
        title="Trajectory",
        expects=("steps", "tool_calls"),
        reads=("tool_calls", "steps"),
        description="By the names of tools. `exact`: the same calls in the same order; `in_order`: the expected ones in their "
        "order, others between them; `any_order`: the expected ones, in any order; each 0 or 1. `precision`: share of the "
        "calls that were expected; `recall`: share of the expected ones that were made.",
        limits="Arguments do not count: see `tool_calls`. Another way to the same end scores as a wrong one.",
        source="Trajectory metrics as in Google Cloud's documentation of agent evaluation (trajectory_exact_match and others)",
    )
)
def trajectory(expected: Mapping[str, Any], output: Mapping[str, Any], *, match: Match = "in_order") -> ScoreValue:
    """Compare the way that was gone with the expected one."""
    told = expected.get("steps") if expected.get("steps") is not None else expected.get("tool_calls")
    if told is None:
        return missing(Missing.NO_EXPECTATION)
    wanted = _names(told)
    if wanted is None:
        return missing(BAD_EXPECTATION, "steps is a list of names of tools, or of objects with a name")
    said = _gone(output)
    if isinstance(said, ScoreValue):
        return said
    way = f"{' → '.join(said) or 'nothing'} for {' → '.join(wanted) or 'nothing'}"[:_SHOWN]
    common = (Counter(said) & Counter(wanted)).total()
    if match in {"precision", "recall"}:
        whole = len(said) if match == "precision" else len(wanted)
        if not whole:
            # Of no calls there is no share: that none was expected, or made, is for `exact`.
            nothing = Missing.NO_OUTPUT if match == "precision" else Missing.NO_EXPECTATION
            return missing(nothing, "no call was made" if match == "precision" else "no call is expected")
        return ScoreValue(value=common / whole, explanation=way)
    if match == "exact":
        hit = said == wanted
    elif match == "any_order":
        hit = common == len(wanted)
    else:
        left = iter(said)
        hit = all(name in left for name in wanted)
    return ScoreValue(value=float(hit), label="match" if hit else "no match", explanation=way)


def _gone(output: Mapping[str, Any]) -> list[str] | ScoreValue:
    """Return the names of the tools that were called, from `tool_calls`, or else from those of the messages."""
    found: Any = output.get("tool_calls")
    if found is None:
        steps: Any = output.get("steps")
        if not isinstance(steps, list):
            return missing(Missing.NO_OUTPUT)
        found = [
            call
            for step in steps
            if isinstance(step, dict) and isinstance(step.get("tool_calls"), list)
            for call in step["tool_calls"]
        ]
    names = _names(found)
    return missing(Missing.UNPARSEABLE, "a call has no name") if names is None else names


def _names(found: Any) -> list[str] | None:
    if not isinstance(found, list):
        return None
    calls = [[Call(name=one, arguments={})] if isinstance(one, str) else calls_in([one]) for one in found]
    return None if any(call is None for call in calls) else [call[0].name for call in calls if call]
