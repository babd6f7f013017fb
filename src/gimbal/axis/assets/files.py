"""Manifests as files in TOML, with the asset's name; a mistake is told with its line.

For kinds whose versions people write by hand; the kind's own room says what a manifest is.
"""

import re
import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import check_name

M = TypeVar("M")

_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)")
_FIELD = re.compile(r"field `([^`]+)`")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def read_manifest(
    text: str, path: str, kind: type[M], check: Callable[[M], M], *, noun: str, example: str
) -> tuple[str, M]:
    """Return the name (empty when the file has none) and the manifest of a file; raise BadInput with `path:line`.

    `noun` is what people call the kind, `example` a name that one could have.
    """
    text = text.removeprefix("\ufeff")
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = _TOML_PLACE.search(str(problem))
        line = int(found[1]) if found else max(1, text.count("\n"))
        what = _TOML_PLACE.sub("", str(problem)).removesuffix(" (at end of document)")
        raise BadInput(f"The file is not valid TOML: {what}.", where=f"{path}:{line}", todo="Mend that line.") from None
    try:
        name = _checked_name(tree.pop("name", ""), example)
        return name, check(msgspec.convert(tree, kind))
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at ")
        place = place.strip("`").removeprefix("$").removeprefix(".")
        named = _FIELD.search(what)
        where = f"{path}:{line_of(text, f'{place}.{named[1]}'.lstrip('.') if named else place)}"
        raise BadInput(
            f"The {noun} does not fit: {what[:1].lower()}{what[1:]}.",
            where=where,
            todo=f"The guide says what a {noun} may hold.",
        ) from None
    except BadInput as problem:
        raise BadInput(problem.message, where=f"{path}:{line_of(text, problem.where)}", todo=problem.todo) from None


def _checked_name(name: Any, example: str) -> str:
    if not isinstance(name, str):
        raise BadInput("The name is not text.", where="name", todo=f'Write it like name = "{example}".')
    try:
        return check_name(name) if name else ""
    except BadInput as problem:
        raise BadInput(problem.message, where="name", todo=problem.todo) from None


def line_of(text: str, place: str) -> int:
    """Return the line of a place like `rules[1].when.tokens`, as near as the file has it; 1 where it has nothing of it.

    Tables (`[[rules]]`, `[rules.when]`) are followed in their order; inline tables and arrays stand on the line of their key.
    """
    steps = [match[1] or int(match[2]) for match in _STEP.finditer(place)]
    keys = [step for step in steps if isinstance(step, str)]
    wanted = next((step for step in steps[1:2] if isinstance(step, int)), None)
    line, table, count = 1, "", -1
    best = (0, 1)
    for line, row in enumerate(text.split("\n"), 1):
        found = row.strip()
        if head := re.fullmatch(r"\[\[?\s*([\w.\-\" ]+?)\s*\]\]?\s*(?:#.*)?", found):
            table = head[1].replace('"', "").replace(" ", "")
            count += found.startswith("[[") and table == (keys or [""])[0]
            path = table.split(".")
        elif pair := re.match(r"([\w.\-\"]+)\s*=", found):
            path = [*(table.split(".") if table else []), *pair[1].replace('"', "").split(".")]
        else:
            continue
        if table and keys and table.split(".")[0] == keys[0] and wanted is not None and count != max(wanted, 0):
            continue
        same = 0
        while same < min(len(path), len(keys)) and path[same] == keys[same]:
            same += 1
        if same == len(path) and same > best[0]:
            best = (same, line)
    return best[1]
