"""Rows of any table as examples: what each field means is told, or guessed by its name; ids are made where there are none."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from gimbal.axis.evals.formats.files import finite, kind_of, plain
from gimbal.axis.evals.formats.model import Collecting, Column
from gimbal.axis.evals.model import Example
from gimbal.kernel.errors import BadInput

_SINGLE = {
    "id": ("id", "example_id"),
    "cluster": ("cluster", "group"),
    "slice": ("slice",),
    "weight": ("weight",),
}
_QUESTIONS = ("input", "question", "prompt", "query", "instruction")
_BESIDE = ("context",)
"""What is part of the input where it stands beside a question."""
_ANSWERS = ("expected", "expected_output", "answer", "reference", "ideal", "target", "ground_truth")
_EXPECTATIONS = (
    "answers", "contains", "contains_any", "excludes", "regex", "number", "label", "sources", "relevance", "claims",
    "tool_calls", "goals", "tests", "entry_point",
)  # fmt: skip
"""Fields of an expectation whose names can mean nothing else."""
_NUMBERS = frozenset({"number", "value"})
_FIELDS = frozenset(Example.__struct_fields__)


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which column is what, for rows that have the same ones."""

    single: dict[str, str]
    input: list[tuple[str, str]]
    """Field and column."""
    expected: list[tuple[str, str]]
    metadata: list[tuple[str, str]]


class RowReader:
    """Makes examples of the rows of one file."""

    def __init__(self, columns: Iterable[Column], into: Collecting, *, texts: bool = False) -> None:
        """Make a reader; with `texts` every value is text, as in a CSV, and an empty one is none."""
        self._columns = tuple(columns)
        self._into = into
        self._texts = texts
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._kinds: dict[str, dict[str, str]] = {}
        self._kept: dict[str, None] = {}

    def check(self, names: Iterable[str], where: str) -> None:
        """Raise BadInput when a table has not the columns that it is told to have, or none for the input."""
        names = tuple(names)
        missing = next((one.column for one in self._columns if one.column not in names), None)
        if missing is not None:
            raise BadInput(
                f"There is no column {missing!r}; there are: {', '.join(names[:30])}.",
                where=where,
                todo="Name another.",
            )
        if not self._plan(names).input:
            raise _no_input(names, where)

    def take(self, row: Mapping[str, Any], where: str) -> None:
        """Take a row as an example; raise BadInput."""
        if not self._columns and not self._texts and _is_native(row):
            self._native(row, where)
            return
        plan = self._plan(tuple(row))
        given = self._parts(row, plan.input, where, keep_empty=True)
        if not any(column in row for _, column in plan.input):
            raise _no_input(tuple(row), where)
        if not self._texts and all(value is None for value in given.values()):
            raise BadInput("The input is null.", where=where, todo="Give a text or an object.")
        expected = self._parts(row, plan.expected, where)
        if not expected:
            self._into.note("has no reference; scorers that need one give no value", where)
        self._add(row, plan, where, given, expected)

    def finish(self, path: object) -> None:
        """Note what holds over all rows."""
        if self._kept:
            names = ", ".join(list(self._kept)[:30])
            self._into.note(
                f"kept as metadata, for nothing says what else they are: {names}; "
                "columns tell it: input=NAME, expected.FIELD=NAME, metadata=NAME",
                str(path),
            )
        for field, kinds in self._kinds.items():
            if len(kinds) > 1:
                told = ", ".join(f"{kind} at {where}" for kind, where in kinds.items())
                self._into.note(f"`{field}` is of mixed types: {told}; each is kept as it is", str(path))

    def _native(self, row: Mapping[str, Any], where: str) -> None:
        try:
            example = msgspec.convert({"id": "x", **row}, Example)
        except msgspec.ValidationError as problem:
            raise BadInput(f"This is not an example: {problem}.", where=where, todo="Mend it.") from None
        if "id" not in row:
            made = self._into.id_of([example.input, example.expected], where)
            example = msgspec.structs.replace(example, id=made)
        self._into.example(example, where)

    def _add(
        self, row: Mapping[str, Any], plan: _Plan, where: str, given: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        single = {name: plain(row.get(column), where) for name, column in plan.single.items()}
        self._into.example(
            Example(
                id=_name(single.get("id"), "id", where) or self._into.id_of([given, expected], where),
                input=given,
                expected=expected,
                cluster=_name(single.get("cluster"), "cluster", where) or None,
                slice=_name(single.get("slice"), "slice", where),
                weight=_weight(single.get("weight"), where),
                metadata=self._parts(row, plan.metadata, where),
            ),
            where,
        )

    def _parts(
        self, row: Mapping[str, Any], pairs: list[tuple[str, str]], where: str, *, keep_empty: bool = False
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, column in pairs:
            value = self._value(row.get(column), field, where)
            if value is None and not (keep_empty and column in row):
                continue
            if isinstance(value, dict) and field in {"", "answer", "question"}:
                found |= cast("dict[str, Any]", value)
            elif isinstance(value, list) and field in {"answer", "question"}:
                found["answers" if field == "answer" else "messages"] = value
            else:
                kept = found[field or column] = "" if value is None and keep_empty and self._texts else value
                self._kinds.setdefault(field or column, {}).setdefault(kind_of(kept), where)
        return found

    def _value(self, value: Any, field: str, where: str) -> Any:
        if isinstance(value, float) and plain(value, where) is None:
            self._into.note("has NaN or an infinity, which counts as missing", where)
            return None
        value = plain(value, where)
        if not self._texts:
            return value
        if value == "":
            return None
        if field in _NUMBERS:
            number = finite(value)
            if number is None:
                raise BadInput(f"{str(value)[:60]!r} is no number.", where=where, todo="Mend it, or leave it empty.")
            return number
        return value

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        if names not in self._plans:
            made = self._plans[names] = _planned(names, self._columns)
            told = {one.column for one in self._columns}
            for _, column in made.metadata:
                if column not in told and not column.startswith("metadata"):
                    self._kept.setdefault(column, None)
        return self._plans[names]


def _is_native(row: Mapping[str, Any]) -> bool:
    shaped = isinstance(row.get("input"), dict) and isinstance(row.get("expected", {}), dict)
    return shaped and row.keys() <= _FIELDS


def _planned(names: tuple[str, ...], columns: tuple[Column, ...]) -> _Plan:
    folded = {name.strip().casefold().replace(" ", "_"): name for name in reversed(names)}
    told = {one.meaning for one in columns}
    taken = {one.column for one in columns}
    single = {one.column: one.meaning for one in columns if one.meaning in _SINGLE}
    free = {name: column for name, column in folded.items() if column not in taken}
    for meaning, guesses in _SINGLE.items():
        column = next((free[guess] for guess in guesses if guess in free), None)
        if meaning not in told and column is not None:
            single[column] = meaning
    taken |= set(single)
    parts: dict[str, list[tuple[str, str]]] = {
        "input": _told_fields(columns, "input", "question"),
        "expected": _told_fields(columns, "expected", "answer"),
        "metadata": _told_fields(columns, "metadata", ""),
    }
    for name in names:
        # `expected.answer` says by itself what it is.
        meaning, dot, field = name.partition(".")
        if name not in taken and dot and field and meaning in parts:
            parts[meaning].append((field, name))
            taken.add(name)
    if not parts["input"]:
        asked = [free[guess] for guess in _QUESTIONS if guess in free and free[guess] not in taken]
        beside = [free[name] for name in _BESIDE if asked and name in free and free[name] not in taken]
        parts["input"] = [("question" if len(asked) == 1 else column, column) for column in asked]
        parts["input"] += [(column, column) for column in beside]
        taken |= {*asked, *beside}
    if "expected" not in told:
        rest = [free[guess] for guess in _ANSWERS if guess in free and free[guess] not in taken]
        parts["expected"] += [("answer", column) for column in rest[:1]]
        taken |= set(rest[:1])
        more = [(guess, free[guess]) for guess in _EXPECTATIONS if guess in free and free[guess] not in taken]
        parts["expected"] += more
        taken |= {column for _, column in more}
    if "metadata" not in told:
        parts["metadata"] += [("" if name == "metadata" else name, name) for name in names if name not in taken]
    return _Plan(single={meaning: column for column, meaning in single.items()}, **parts)


def _told_fields(columns: tuple[Column, ...], meaning: str, usual: str) -> list[tuple[str, str]]:
    mine = [one for one in columns if one.meaning == meaning]
    alone = len([one for one in mine if not one.field]) == 1
    return [(one.field or (usual if usual and alone else one.column), one.column) for one in mine]


def _name(value: Any, what: str, where: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, float) and value.is_integer():
        # As pandas writes whole numbers of a column in which some are missing.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadInput(f"The {what} is {kind_of(value)}, not a name.", where=where, todo="Write it as a text.")
    return str(value)


def _weight(value: Any, where: str) -> float:
    if value is None or value == "":
        return 1.0
    number = None if isinstance(value, bool) else finite(value)
    if number is None or number <= 0:
        raise BadInput(f"The weight is {str(value)[:60]!r}, not a number above 0.", where=where, todo="Mend it.")
    return number


def _no_input(names: tuple[str, ...], where: str) -> BadInput:
    return BadInput(
        f"No column is the input; there are: {', '.join(names[:30]) or 'none'}.",
        where=where,
        todo=f"Call one of them {', '.join(_QUESTIONS)}, or say which it is: --column input=NAME.",
    )
