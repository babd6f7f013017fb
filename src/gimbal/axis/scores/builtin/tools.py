"""Tool calls: whether an agent called the tools that were expected, with the arguments that were expected."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, TOO_LONG, missing
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

MOST_CALLS = 200
_SHOWN = 80


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a tool."""

    name: str
    """Of the tool."""
    arguments: Any
    """What it was given, usually an object."""


def calls_in(found: Any) -> list[Call] | None:
    """Return the calls of a field, or None where it has none; arguments may be JSON in a string, as OpenAI's wire has them."""
    if not isinstance(found, list):
        return None
    calls: list[Call] = []
    for one in found:
        inner: Any = one.get("function") if isinstance(one, dict) and isinstance(one.get("function"), dict) else one
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            return None
        calls.append(Call(name=inner["name"], arguments=_read(inner.get("arguments"))))
    return calls


def same(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Tell whether two JSON values are equal; numbers within a relative tolerance, true and 1 never."""
    left = [(one, other)]
    while left:
        a, b = left.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            left.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            left.extend(zip(a, b, strict=True))
        elif _is_number(a) and _is_number(b):
            x: Any = a
            if x != b and not _near(x, b, tolerance):
                return False
        elif type(a) is not type(b) or a != b:
            return False
    return True


@scorer(
    ScorerCard(
        name="tool_calls",
        title="Tool calls",
        expects=("tool_calls",),
        reads=("tool_calls",),
        description="F1 of the calls that match an expected one by name and arguments, each once; with `order` as `strict` "
        "only calls in the expected order match. Where none is expected, 1 without a call, else 0.",
        limits="Arguments are equal or not: other words for the same thing do not match, and an argument that is left to its "
        "default is missing. Whether the tools did any good is for `goals`.",
        source="F1 of matched calls, as the abstract syntax tree matching of the Berkeley function-calling leaderboard (Patil et al. 2025) has them",
    )
)
def tool_calls(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    order: Literal["any", "strict"] = "any",
    arguments: Literal["all", "expected", "none"] = "all",
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-9,
) -> ScoreValue:
    """Match the calls with the expected ones; of `arguments` all count, the expected ones alone, or none."""
    if expected.get("tool_calls") is None:
        return missing(Missing.NO_EXPECTATION)
    wanted = calls_in(expected["tool_calls"])
    if wanted is None:
        return missing(BAD_EXPECTATION, "tool_calls is a list of objects with a name")
    if output.get("tool_calls") is None:
        return missing(Missing.NO_OUTPUT)
    said = calls_in(output["tool_calls"])
    if said is None:
        return missing(Missing.UNPARSEABLE, "a call has no name")
    if max(len(wanted), len(said)) > MOST_CALLS:
        return missing(TOO_LONG, f"more than {MOST_CALLS} calls")
    fits = [[_fits(one, other, arguments, tolerance) for other in said] for one in wanted]
    matched = in_order(fits) if order == "strict" else in_any_order(fits)
    value = 2 * matched / (len(wanted) + len(said)) if wanted or said else 1.0
    return ScoreValue(value=value, explanation=_difference(wanted, said, fits, order) if value < 1 else "")


def in_order(fits: Sequence[Sequence[bool]]) -> int:
    """Return how many pairs match in order: the length of the longest common subsequence."""
    row = [0] * (len(fits[0]) + 1 if fits else 1)
    for line in fits:
        before = row
        row = [0]
        for place, fit in enumerate(line):
            row.append(before[place] + 1 if fit else max(row[place], before[place + 1]))
    return row[-1]


def in_any_order(fits: Sequence[Sequence[bool]]) -> int:
    """Return how many pairs match at most, each side once (Kuhn 1955: augmenting paths)."""
    taken: dict[int, int] = {}

    def placed(line: int, seen: set[int]) -> bool:
        for place, fit in enumerate(fits[line]):
            if fit and place not in seen:
                seen.add(place)
                if place not in taken or placed(taken[place], seen):
                    taken[place] = line
                    return True
        return False

    return sum(placed(line, set()) for line in range(len(fits)))


def _fits(wanted: Call, said: Call, arguments: str, tolerance: float) -> bool:
    if wanted.name != said.name or arguments == "none":
        return wanted.name == said.name
    given: Any = said.arguments
    if arguments == "expected" and isinstance(wanted.arguments, dict) and isinstance(given, dict):
        given = {name: value for name, value in given.items() if name in wanted.arguments}
    return same(wanted.arguments, given, tolerance)


def _difference(wanted: Sequence[Call], said: Sequence[Call], fits: Sequence[Sequence[bool]], order: str) -> str:
    """Return the first thing that is not as expected."""
    for place, one in enumerate(wanted):
        fit = fits[place][place : place + 1] == [True] if order == "strict" else any(fits[place])
        if fit:
            continue
        instead = next((other for other in said if other.name == one.name), None)
        if order == "strict" and place < len(said):
            instead = said[place]
        return f"wanted {_shown(one)}" + (f", got {_shown(instead)}" if instead else "")
    extra = next((other for at, other in enumerate(said) if not any(line[at] for line in fits)), None)
    return f"{_shown(extra)} was not expected" if extra else f"{len(said)} calls for {len(wanted)} expected"


def _shown(call: Call) -> str:
    return f"{call.name}({json.dumps(call.arguments, default=str)})"[:_SHOWN]


def _read(arguments: Any) -> Any:
    if isinstance(arguments, str):
        try:
            return msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return arguments
    return {} if arguments is None else arguments


def _near(one: float, other: float, tolerance: float) -> bool:
    try:
        return math.isclose(one, other, rel_tol=tolerance)
    except OverflowError:
        # A whole number that no float holds is near to none but itself.
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
