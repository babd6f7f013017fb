"""All that a template can do with a value: follow a path into it, ask whether it holds, compare it, write it as text.

Values are JSON's: texts, numbers, booleans, lists, objects, null. A path reads keys of objects and places of lists and
nothing else, so no attribute or method of whatever was given can be reached.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from gimbal.generative.prompts.language.scan import NAME, Source
from gimbal.kernel.errors import BadInput

_PATH = re.compile(rf"{NAME.pattern}(?:\.[A-Za-z0-9_-]{{1,64}}){{0,15}}")
_INDEX = re.compile(r"[0-9]{1,9}")
AT: dict[str, Callable[["Frame"], Any]] = {
    "@index": lambda frame: frame.turn,
    "@first": lambda frame: frame.turn == 0,
    "@last": lambda frame: frame.last,
}
"""What can be asked of the innermost loop."""


class Frame(NamedTuple):
    """One turn of a loop."""

    item: Any
    turn: int
    """From 0."""
    last: bool


class Path(NamedTuple):
    """Where a value comes from."""

    written: str
    """As it stands in the template."""
    name: str
    """The variable or, with a frame, the loop's name for its item, or one of `AT`."""
    steps: tuple[str, ...]
    """Keys and places behind the name."""
    frame: int
    """How many loops stand around the loop whose name it is; -1 for a variable."""
    source: Source
    at: int
    """Offset of its tag."""

    def problem(self, message: str, todo: str) -> BadInput:
        """Return the error that names the place of the path's tag."""
        return self.source.problem(self.at, message, todo)


def read_path(written: str, scope: Sequence[str], source: Source, at: int) -> Path | None:
    """Return the path that a word is, or None; `scope` is the names of the loops around it, outermost first.

    Raise BadInput for `@index` and its like outside of every loop.
    """
    if written in AT:
        if not scope:
            raise source.problem(
                at, f"{written} stands outside of every loop.", "Put it between {{#each …}} and {{/each}}."
            )
        return Path(written, written, (), len(scope) - 1, source, at)
    if not _PATH.fullmatch(written):
        return None
    name, *steps = written.split(".")
    frame = next((n for n in range(len(scope) - 1, -1, -1) if scope[n] == name), -1)
    return Path(written, name, tuple(steps), frame, source, at)


def look(path: Path, values: Mapping[str, Any], frames: Sequence[Frame]) -> Any:
    """Return the value at the end of a path; raise BadInput where it leads nowhere."""
    if path.frame < 0:
        if path.name not in values:
            raise path.problem(f"The variable {path.name!r} is missing.", "Give a value for it.")
        value = values[path.name]
    else:
        frame = frames[path.frame]
        value = AT[path.name](frame) if path.name in AT else frame.item
    for step in path.steps:
        if isinstance(value, dict) and step in value:
            value = cast("dict[str, Any]", value)[step]
        elif isinstance(value, list | tuple) and _INDEX.fullmatch(step) and int(step) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(step)]
        else:
            raise path.problem(
                f"{path.written} leads nowhere: there is no {step!r} in {kind_of(value)}.",
                "Give a value that has it, or mend the path.",
            )
    return value


def kind_of(value: Any) -> str:
    """Return what sort of value it is, in words."""
    if isinstance(value, list | tuple):
        return f"a list of {len(cast('list[Any]', value))}"
    if isinstance(value, bool):
        return "a boolean"
    kinds: tuple[tuple[Any, str], ...] = (
        (str, "a text"), (int, "an integer"), (float, "a number"), (dict, "an object"), (type(None), "null"),
    )  # fmt: skip
    return next((word for kind, word in kinds if isinstance(value, kind)), "no JSON value")


def holds(path: Path, value: Any) -> bool:
    """Tell whether a value counts as true: false, null, 0, an empty text, list or object do not."""
    if value is None or isinstance(value, bool | int | float | str | list | tuple | dict):
        return bool(cast("object", value))
    raise path.problem(f"{path.written} is {kind_of(value)}.", "Give JSON values.")


def same(left: Any, right: Any) -> bool:
    """Tell whether two plain values are the same; 1 is 1.0, and neither is true or "1"."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    return type(left) is type(right) and left == right


def text_of(path: Path, value: Any) -> str:
    """Return a value as it is inserted: a text as it is, all else as JSON; raise BadInput for null and what is no JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        raise path.problem(
            f"{path.written} is null, and would leave a hole.",
            "Give a value, or ask with {{#if …}} whether there is one.",
        )
    finite = not isinstance(value, float) or math.isfinite(value)
    if finite and isinstance(value, bool | int | float | list | tuple | dict):
        try:
            return msgspec.json.encode(cast("object", value)).decode()
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
            pass
    raise path.problem(
        f"{path.written} is {kind_of(value)} that is no JSON.", "Give texts, numbers, lists and objects."
    )
