"""Policy files: a manifest in TOML, and the policy's name.

    name = "gateway"

    [[guards]]
    name = "personal-data"
    detectors = ["contact", "card"]
    action = "mask"

`read_policy` turns a file into a manifest and names a mistake as `path:line`.
"""

import re
import tomllib
from typing import Any

import msgspec

from gimbal.generative.guards.model import PolicyManifest, check_manifest
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import check_name

_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)")
_FIELD = re.compile(r"field `([^`]+)`")
_PLACE = re.compile(r"guards\[(\d+)\](?:\.(\w+))?")


def read_policy(text: str, path: str = "policy.toml") -> tuple[str, PolicyManifest]:
    """Return a policy's name (empty when the file has none) and manifest; raise BadInput with `path:line`."""
    text = text.removeprefix("\ufeff")
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = _TOML_PLACE.search(str(problem))
        line = int(found[1]) if found else max(1, text.count("\n"))
        what = _TOML_PLACE.sub("", str(problem)).removesuffix(" (at end of document)")
        raise BadInput(f"The file is not valid TOML: {what}.", where=f"{path}:{line}", todo="Mend that line.") from None
    try:
        name = _checked_name(tree.pop("name", ""))
        return name, check_manifest(msgspec.convert(tree, PolicyManifest))
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at ")
        place = place.strip("`").removeprefix("$").removeprefix(".")
        named = _FIELD.search(what)
        where = f"{path}:{line_of(text, f'{place}.{named[1]}'.lstrip('.') if named else place)}"
        raise BadInput(
            f"The policy does not fit: {what[:1].lower()}{what[1:]}.",
            where=where,
            todo="The guide to guards says what it may hold.",
        ) from None
    except BadInput as problem:
        raise BadInput(problem.message, where=f"{path}:{line_of(text, problem.where)}", todo=problem.todo) from None


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise BadInput("The name is not text.", where="name", todo='Write it like name = "gateway".')
    try:
        return check_name(name) if name else ""
    except BadInput as problem:
        raise BadInput(problem.message, where="name", todo=problem.todo) from None


def line_of(text: str, place: str) -> int:
    """Return the line of a place like `guards[1].action`, as near as the file has it; 1 where it has nothing of it."""
    found = _PLACE.match(place)
    wanted, key = (int(found[1]), found[2]) if found else (-1, place.partition("[")[0].partition(".")[0])
    head, table = 1, -1
    for line, row in enumerate(text.split("\n"), 1):
        written = row.strip()
        if re.match(r"\[\[\s*guards\s*\]\]", written):
            table += 1
            head = line if table == wanted else head
        elif key and table == wanted and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*=", written):
            return line
    return head
