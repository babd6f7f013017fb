"""YAML of others: plain values only, as YAML 1.2 reads them, within bounds before anything is built.

`yes` and `12:30` are texts, as in the tools that write these files. A file is first read as a stream of events, which need
no memory: so aliases that would unfold to more than fits are refused before they do.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from gimbal.axis.evals.formats.files import MIB, plain, whole
from gimbal.kernel.errors import BadInput, TooLarge

_MOST_BYTES = 16 * MIB
_MOST_VALUES = 1_000_000
"""After aliases are unfolded."""
_DEEPEST = 100
# The parser in C where there is one; both take plain values only.
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN = (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        "-+0123456789.",
    ),
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN"),
    ("tag:yaml.org,2002:merge", r"^<<$", "<"),
)


class _Loader(_SAFE):
    """Plain values as YAML 1.2 has them; a key that stands twice is an error."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and form that the library reads

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _firsts in _PLAIN:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), ["", *_firsts] if _tag.endswith("null") else [*_firsts])


def read_yaml(path: Path) -> Any:
    """Return the plain value of a YAML or JSON file; raise BadInput that names the line, TooLarge."""
    return parse_yaml(whole(path, _MOST_BYTES), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return the plain value of a text; raise BadInput that names the line, TooLarge."""
    if "\x00" in text:
        raise BadInput("It has NUL characters.", where=where, todo="Give a file of text.")
    try:
        _measure(text, where)
        return plain(yaml.load(text, _Loader), where)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise BadInput(
            f"This is not YAML: {problem.problem or problem.context}.",
            where=where if mark is None else f"{where}:{mark.line + 1}",
            todo="Mend it.",
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as problem:
        first = (str(problem).splitlines() or [""])[0]
        raise BadInput(f"This is not YAML: {first}.", where=where, todo="Mend it.") from None


def _measure(text: str, where: str) -> None:
    """Raise TooLarge or BadInput for more values, or deeper ones, than are read; aliases count as what they stand for."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, _Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise BadInput(
                    f"`*{event.anchor}` stands inside what it stands for, or for nothing.",
                    where=f"{where}:{line}",
                    todo="Write it out.",
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > _MOST_VALUES or len(open_) > _DEEPEST:
            what = (
                f"more than {_MOST_VALUES:,} values" if total > _MOST_VALUES else f"values {_DEEPEST} deep and deeper"
            )
            raise TooLarge(f"It has {what}, aliases unfolded.", where=f"{where}:{line}", todo="Split it.")
