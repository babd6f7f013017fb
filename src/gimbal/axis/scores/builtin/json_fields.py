"""Fields of JSON: the share of the leaves of the expected JSON value that the output has, each in its place."""

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np

from gimbal.axis.scores.builtin.structured import LONGEST, json_of
from gimbal.axis.scores.builtin.texts import BAD_EXPECTATION, TOO_LONG, composed, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

Tolerance = Annotated[float, msgspec.Meta(ge=0)]
_SHOWN = 3
_SHOWN_CHARACTERS = 60
# Lists without an order are compared each element with each; that many comparisons take about a second.
_COMPARISONS = 200_000


@scorer(
    ScorerCard(
        name="json_fields",
        title="Fields of JSON",
        expects=("json",),
        description="Share of the leaves of the expected JSON that the output, JSON alone or in a ```json fence, has in "
        "their place. `tolerance` is the absolute tolerance of numbers by path (`total`, `items.price`; `*` for all "
        "others); `lists` as `unordered` pairs the elements of lists so that most leaves match.",
        limits="What the output has beyond the expectation does not count against it; `json_schema` can forbid it.",
        source="Exact match of slots as in slot filling, weighted by leaf; pairs by linear assignment (scipy)",
    )
)
def json_fields(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    tolerance: dict[str, Tolerance] = {},  # noqa: B006 - never changed
    lists: Literal["ordered", "unordered"] = "ordered",
    ignore_case: bool = False,
) -> ScoreValue:
    """Compare the JSON of the output with the expected one, leaf by leaf."""
    text = output_text(output)
    if "json" not in expected:
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text], LONGEST)) is not None:
        return long
    try:
        said = json_of(text)
    except ValueError as problem:
        return missing(Missing.UNPARSEABLE, f"no JSON: {problem}"[: 2 * _SHOWN_CHARACTERS])
    comparison = _Comparison(tolerance, unordered=lists == "unordered", ignore_case=ignore_case)
    try:
        found = comparison.of(expected["json"], said)
    except _TooMuch:
        return missing(TOO_LONG, f"its lists without an order take more than {_COMPARISONS} comparisons")
    except RecursionError:
        return missing(BAD_EXPECTATION, "the expected JSON is nested too deep")
    return ScoreValue(value=found.matched / found.leaves, explanation="; ".join(found.wrong))


class _TooMuch(Exception):
    """Comparing would take too long."""


class _Found(NamedTuple):
    """How many leaves there are, how many match, and the first that do not."""

    leaves: int
    matched: int
    wrong: list[str]


class _Comparison:
    """One comparison of two JSON values."""

    def __init__(self, tolerance: Mapping[str, float], *, unordered: bool, ignore_case: bool) -> None:
        self._tolerance = tolerance
        self._unordered = unordered
        self._ignore_case = ignore_case
        self._made = 0

    def of(self, wanted: Any, said: Any, shown: str = "", path: str = "") -> _Found:
        """Return what matches; `shown` has the places of elements, `path` is what tolerances go by."""
        if isinstance(wanted, dict) and wanted:
            if not isinstance(said, dict):
                return _without(wanted, shown, said)
            return _summed(
                self.of(value, said[name], _below(shown, name), _below(path, name))
                if name in said
                else _without(value, _below(shown, name))
                for name, value in wanted.items()
            )
        if isinstance(wanted, list) and wanted:
            if not isinstance(said, list):
                return _without(wanted, shown, said)
            pairs = self._paired(wanted, said, path) if self._unordered else list(range(len(wanted)))
            return _summed(
                self.of(one, said[place], f"{shown}[{i}]", path)
                if 0 <= place < len(said)
                else _without(one, f"{shown}[{i}]")
                for i, (one, place) in enumerate(zip(wanted, pairs, strict=True))
            )
        self._made += 1
        if self._unordered and self._made > _COMPARISONS:
            raise _TooMuch
        if self._same(wanted, said, path):
            return _Found(1, 1, [])
        return _Found(1, 0, [f"{shown or '$'}: {_short(said)} instead of {_short(wanted)}"])

    def _paired(self, wanted: list[Any], said: list[Any], path: str) -> list[int]:
        """Return for each expected element the place of the one that it is compared with; -1 for none."""
        if not said:
            return [-1] * len(wanted)
        if len(wanted) * len(said) > _COMPARISONS:
            raise _TooMuch
        matched = np.array([[self.of(one, other, "", path).matched for other in said] for one in wanted])
        rows, columns = importlib.import_module("scipy.optimize").linear_sum_assignment(matched, maximize=True)
        pairs = [-1] * len(wanted)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            pairs[row] = column
        return pairs

    def _same(self, wanted: Any, said: Any, path: str) -> bool:
        if isinstance(wanted, str) and isinstance(said, str):
            return composed(wanted, ignore_case=self._ignore_case) == composed(said, ignore_case=self._ignore_case)
        if _is_number(wanted) and _is_number(said):
            return wanted == said or abs(wanted - said) <= self._tolerance.get(path, self._tolerance.get("*", 0.0))
        # true is not 1.
        return type(wanted) is type(said) and wanted == said


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _summed(parts: Any) -> _Found:
    leaves = matched = 0
    wrong: list[str] = []
    for part in parts:
        leaves += part.leaves
        matched += part.matched
        wrong += part.wrong
        del wrong[_SHOWN:]
    return _Found(leaves, matched, wrong)


def _without(wanted: Any, shown: str, *said: Any) -> _Found:
    """Return that nothing matches below a place where there is nothing, or `said` of another kind."""
    what = f"{_short(said[0])} instead of {_short(wanted)}" if said else "is not there"
    return _Found(_leaves(wanted), 0, [f"{shown or '$'}: {what}"])


def _leaves(value: Any) -> int:
    below: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return sum(map(_leaves, below)) or 1


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value)[: _SHOWN_CHARACTERS + 2]
