"""The front matter of prompt files: TOML as a record, and a manifest's part of it as TOML again.

A mistake is told with the line that it is on. What TOML cannot say (null inside a JSON Schema) may stand as JSON in a text.
"""

import math
import re
import tomllib
from typing import Any, cast, get_args

import msgspec

from gimbal.axis.assets.files import line_of
from gimbal.generative.prompts.model import (
    PromptManifest,
    PromptParams,
    PromptTool,
    PromptVariable,
    ResponseSchema,
    RetrievalSetting,
    VariableType,
)
from gimbal.kernel.errors import BadInput

_TOML_LINE = re.compile(r" \(at line (\d+), column (\d+)\)")
_FIELD = re.compile(r"field `([^`]+)`")
_DEEPEST = 50
_TODO = (
    "It may hold model, description, owners, notes, variables, [params] (temperature, top_p, max_tokens, stop, seed), "
    "[retrieval] (index, k, query, into), [variables.NAME] (type, default, description), [[tools]] (name, description, "
    "parameters) and [response] (name, schema, strict)."
)
_VARIABLE = f"A variable may have type ({', '.join(get_args(VariableType))}), default and description."


class FrontMatter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand between the fences."""

    model: str
    description: str = ""
    owners: tuple[str, ...] = ()
    notes: str = ""
    variables: tuple[str, ...] | dict[str, Any] | None = None
    """A list of the placeholders that are used, or what is declared of each."""
    params: PromptParams = PromptParams()
    retrieval: RetrievalSetting | None = None
    tools: tuple[dict[str, Any], ...] = ()
    response: dict[str, Any] | None = None


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """What front matter says."""

    matter: FrontMatter
    declared: tuple[PromptVariable, ...]
    """By name."""
    tools: tuple[PromptTool, ...]
    response: ResponseSchema | None


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Where the front matter stands in its file."""

    lines: list[str]
    first: int
    """Number of its first line."""
    path: str

    def of(self, key: str, fallback: int | None = None) -> int:
        """Return the line on which `key` (or the table of that name) is set; else `fallback`, else the first line."""
        pattern = re.compile(rf"\s*(\[?\s*)[\"']?{re.escape(key)}[\"']?\s*[=\].]")
        otherwise = self.first if fallback is None else fallback
        return next((self.first + n for n, line in enumerate(self.lines) if key and pattern.match(line)), otherwise)

    def at(self, place: str) -> int:
        """Return the line of a place such as `tools[1].name`, as near as the file has it."""
        if place.startswith(("variables", "tools", "response")):
            return self.first + line_of("\n".join(self.lines), place) - 1
        table, _, key = place.rpartition(".")
        return self.of(key.partition("[")[0], self.of(table))

    def problem(self, place: str, message: str, todo: str) -> BadInput:
        """Return the error that names the line of a place."""
        return BadInput(message, where=f"{self.path}:{self.at(place)}", todo=todo)


def read_front(lines: Lines) -> Front:
    """Return what front matter says; raise BadInput with its line."""
    matter = _convert(_tree(lines), FrontMatter, "", lines)
    for index, owner in enumerate(matter.owners):
        if not owner.strip() or owner in matter.owners[:index]:
            raise lines.problem("owners", "An owner is empty or there twice.", "Name each once.")
    declared: list[PromptVariable] = []
    if isinstance(matter.variables, dict):
        for name in sorted(matter.variables):
            row = _declaration(matter.variables[name], name, lines)
            if row.get("type") in {"list", "object"} and isinstance(row.get("default"), str):
                row["default"] = _json_text(row["default"], f"variables.{name}.default", lines)
            _check_json(row.get("default"), f"variables.{name}.default", lines)
            declared.append(_convert({**row, "name": name}, PromptVariable, f"variables.{name}", lines, _VARIABLE))
    tools = tuple(
        _convert(_with_schema(row, "parameters", f"tools[{index}]", lines), PromptTool, f"tools[{index}]", lines)
        for index, row in enumerate(matter.tools)
    )
    response = None
    if matter.response is not None:
        response = _convert(
            _with_schema(matter.response, "schema", "response", lines), ResponseSchema, "response", lines
        )
    return Front(matter=matter, declared=tuple(declared), tools=tools, response=response)


def _tree(lines: Lines) -> dict[str, Any]:
    try:
        return tomllib.loads("\n".join(lines.lines))
    except RecursionError:
        raise BadInput(
            "The front matter is nested too deeply.", where=f"{lines.path}:{lines.first}", todo="Make it flatter."
        ) from None
    except ValueError as problem:
        # Not only TOMLDecodeError: a number of thousands of digits raises its parent.
        found = _TOML_LINE.search(str(problem))
        line = min(int(found[1]), max(1, len(lines.lines))) + lines.first - 1 if found else lines.first
        what = _TOML_LINE.sub("", str(problem))
        raise BadInput(
            f"The front matter is not valid TOML: {what}.", where=f"{lines.path}:{line}", todo="Mend that line."
        ) from None


def _declaration(found: Any, name: str, lines: Lines) -> dict[str, Any]:
    """Return what is declared of a variable."""
    if not isinstance(found, dict):
        told = f"What is declared of the variable {name!r} is no table."
        raise lines.problem(f"variables.{name}", told, f"Write [variables.{name}]. {_VARIABLE}")
    row = dict(cast("dict[str, Any]", found))
    if "name" in row:
        raise lines.problem(f"variables.{name}.name", "A variable is called as its table is.", "Leave `name` out.")
    return row


def _convert(tree: Any, kind: Any, table: str, lines: Lines, todo: str = _TODO) -> Any:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as problem:
        what, _, place = str(problem).partition(" - at ")
        named = _FIELD.search(what)
        inner = place.strip("`").removeprefix("$").removeprefix(".")
        key = ".".join(filter(None, [table, inner, named[1] if named else ""]))
        # Of a value that is none of some, its field is in the place, not in the words.
        about = f"{key}: " if key and not named else ""
        raise lines.problem(key, f"The front matter does not fit: {about}{what[:1].lower()}{what[1:]}.", todo) from None


def _with_schema(row: dict[str, Any], key: str, table: str, lines: Lines) -> dict[str, Any]:
    """Return a table whose JSON Schema is an object, also where it is written as JSON in a text."""
    found = row.get(key)
    place = f"{table}.{key}"
    if isinstance(found, str):
        found = _json_text(found, place, lines)
    if found is None:
        return row
    _check_json(found, place, lines)
    if (
        isinstance(found, dict)
        and key == "parameters"
        and cast("dict[str, Any]", found).get("type", "object") != "object"
    ):
        raise lines.problem(place, "The parameters of a tool are an object.", 'Write type = "object" and properties.')
    return {**row, key: found}


def _json_text(text: str, place: str, lines: Lines) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as problem:
        raise lines.problem(place, f"The text is not JSON: {problem}.", "Write JSON, or a table.") from None


def _check_json(value: Any, place: str, lines: Lines) -> None:
    """Raise BadInput for what JSON does not have: dates, numbers that are none or of more than 64 bits, and depths."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        one, depth = todo.pop()
        if isinstance(one, dict):
            todo.extend((inner, depth + 1) for inner in cast("dict[str, Any]", one).values())
        elif isinstance(one, list):
            todo.extend((inner, depth + 1) for inner in cast("list[Any]", one))
        elif isinstance(one, bool | str) or one is None:
            continue
        elif not (isinstance(one, int) and -(2**63) <= one < 2**63) and not (
            isinstance(one, float) and math.isfinite(one)
        ):
            raise lines.problem(
                place, f"{str(one)[:40]} is nothing that JSON has.", "Write texts, numbers, lists, tables."
            )
        if depth > _DEEPEST:
            raise lines.problem(place, f"It is nested more than {_DEEPEST} deep.", "Make it flatter.")


def write_front(manifest: PromptManifest) -> list[str]:
    """Return the lines of the front matter that says this."""
    front = [f"model = {_toml(manifest.model)}"]
    if manifest.description:
        front.append(f"description = {_toml(manifest.description)}")
    if manifest.owners:
        front.append(f"owners = {_toml(manifest.owners)}")
    if manifest.notes:
        front.append(f"notes = {_toml(manifest.notes)}")
    for table, struct in (("params", manifest.params), ("retrieval", manifest.retrieval)):
        rows: dict[str, Any] = {} if struct is None else msgspec.to_builtins(struct)
        front += _table(f"[{table}]", rows) if rows else []
    for variable in manifest.declared:
        rows = msgspec.to_builtins(variable)
        front += _table(f"[variables.{rows.pop('name')}]", rows)
    for tool in manifest.tools:
        front += _table("[[tools]]", msgspec.to_builtins(tool))
    if manifest.response is not None:
        front += _table("[response]", msgspec.to_builtins(manifest.response))
    return front


def _table(head: str, rows: dict[str, Any]) -> list[str]:
    return ["", head, *(f"{key} = {_toml(_sayable(value))}" for key, value in rows.items())]


def _sayable(value: Any) -> Any:
    """Return a value that TOML can say: one with null inside as JSON in a text."""
    text = msgspec.json.encode(value)
    if isinstance(value, dict | list) and b"null" in text and _has_null(cast("object", value)):
        return text.decode()
    return value


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, cast("dict[str, Any]", value).values()))
    return value is None or (isinstance(value, list | tuple) and any(map(_has_null, cast("list[Any]", value))))


def _toml(value: Any) -> str:
    """Return a TOML value; JSON's strings and numbers are TOML's, but for the escape of U+007F."""
    if isinstance(value, dict):
        rows = [f"{_toml(key)} = {_toml(inner)}" for key, inner in cast("dict[str, Any]", value).items()]
        return "{ " + ", ".join(rows) + " }" if rows else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, cast("list[Any]", value))) + "]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007F")
