"""Conditions of templates: paths and literals, `==`, `!=`, `not`, `and`, `or`; `not` binds most, `or` least."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gimbal.generative.prompts.language.scan import Source
from gimbal.generative.prompts.language.values import Frame, Path, holds, kind_of, look, read_path, same

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?![A-Za-z0-9_.]))
    | (?P<compare>==|!=)
    | (?P<word>@?[A-Za-z0-9_][A-Za-z0-9_.-]*)
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WORDS = {"true": True, "false": False}
_HOW = 'Write it like {{#if plan == "gold" and not late}}.'


class Literal(NamedTuple):
    """A value that stands in the template."""

    value: str | int | float | bool


Operand = Path | Literal


class Test(NamedTuple):
    """One question: whether a value holds, or whether two are the same."""

    __test__ = False

    wanted: bool
    """False behind `not`, and for `!=`."""
    left: Operand
    right: Operand | None

    def passes(self, values: Mapping[str, Any], frames: Sequence[Frame]) -> bool:
        """Tell whether the answer is the one that is wanted; raise BadInput for values that cannot be asked this."""
        if self.right is None:
            found = (
                holds(self.left, look(self.left, values, frames))
                if isinstance(self.left, Path)
                else bool(self.left.value)
            )
        else:
            found = same(_plain(self.left, values, frames), _plain(self.right, values, frames))
        return found is self.wanted


class Condition(NamedTuple):
    """Tests joined by `and`, and those by `or`."""

    choices: tuple[tuple[Test, ...], ...]

    def holds(self, values: Mapping[str, Any], frames: Sequence[Frame]) -> bool:
        """Tell whether it is true."""
        return any(all(test.passes(values, frames) for test in tests) for tests in self.choices)

    def paths(self) -> Iterator[Path]:
        """Yield the paths in it."""
        for tests in self.choices:
            for test in tests:
                yield from (side for side in (test.left, test.right) if isinstance(side, Path))


def _plain(operand: Operand, values: Mapping[str, Any], frames: Sequence[Frame]) -> Any:
    if isinstance(operand, Literal):
        return operand.value
    value = look(operand, values, frames)
    if value is None or isinstance(value, str | int | float):
        return value
    raise operand.problem(
        f"{operand.written} is {kind_of(value)}, which cannot be compared.", "Compare texts, numbers and booleans."
    )


def read_condition(words: str, scope: Sequence[str], source: Source, at: int) -> Condition:
    """Return the condition of a tag; raise BadInput with the tag's place when it is none."""
    tokens = list(_tokens(words, source, at))
    choices: list[tuple[Test, ...]] = []
    tests: list[Test] = []
    position = 0
    while True:
        wanted = True
        while tokens[position] == ("word", "not"):
            wanted, position = not wanted, position + 1
        left, position, right = _operand(tokens[position], scope, source, at), position + 1, None
        if tokens[position][0] == "compare":
            wanted = wanted is (tokens[position][1] == "==")
            right, position = _operand(tokens[position + 1], scope, source, at), position + 2
        tests.append(Test(wanted, left, right))
        joined = tokens[position]
        if joined != ("word", "and"):
            choices.append(tuple(tests))
            tests = []
        if joined == ("end", ""):
            return Condition(tuple(choices))
        if joined not in {("word", "and"), ("word", "or")}:
            raise source.problem(at, f"{joined[1][:60]!r} stands where `and` or `or` is expected.", _HOW)
        position += 1


def _tokens(words: str, source: Source, at: int) -> Iterator[tuple[str, str]]:
    position = 0
    while True:
        found = _TOKEN.match(words, position)
        if found is None:
            raise source.problem(at, f"{words[position:].strip()[:60]!r} cannot stand in a condition.", _HOW)
        kind = found.lastgroup or "end"
        yield kind, found[kind]
        if kind == "end":
            return
        position = found.end()


def _operand(token: tuple[str, str], scope: Sequence[str], source: Source, at: int) -> Operand:
    kind, written = token
    if kind == "text":
        return Literal(_ESCAPE.sub(r"\1", written[1:-1]))
    if kind == "number":
        return Literal(float(written) if "." in written else int(written))
    if written in _WORDS:
        return Literal(_WORDS[written])
    path = None if kind != "word" or written in {"and", "or", "not"} else read_path(written, scope, source, at)
    if path is None:
        what = f"{written[:60]!r} stands" if written else "The condition ends"
        raise source.problem(at, f"{what} where a name or a value is expected.", _HOW)
    return path
