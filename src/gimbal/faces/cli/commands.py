"""Turns rows of the manifest into commands: arguments from the command line, one HTTP call, the result on screen."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import show, values
from gimbal.faces.cli.manifest import Argument, Command
from gimbal.faces.cli.views import COLUMNS, FAILED
from gimbal.kernel.errors import BadInput

_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list[str],
    "json": str,
    "raw": Path,
}


def add(app: App, command: Command) -> None:
    """Add one command to the app of its group."""
    app.command(_function(command), name=command.verb.replace("_", "-"))


def _annotation(argument: Argument) -> Any:
    kind = _TYPES[argument.type]
    doc = argument.doc + (" As JSON, or @FILE, or @- for standard input." if argument.type == "json" else "")
    doc += (
        " Or @FILE, or @- for standard input: what stands in a command is seen by others." if _is_key(argument) else ""
    )
    if argument.default not in (None, ""):
        doc += f" {argument.default} when left out."
    # `--no-x` is for what may be true or false; an empty list is simply not given.
    negative = None if argument.type == "bool" else ""
    return Annotated[kind if argument.required else kind | None, Parameter(help=doc, negative=negative)]


def _function(command: Command) -> Callable[..., None]:
    rows = [a for a in command.arguments if a.name != "project"]
    has_project = len(rows) < len(command.arguments)

    def run(*args: Any, **given: Any) -> None:
        named_values = dict(zip([p.name for p in positional], args, strict=False)) | given
        as_json = named_values.pop("json", False)
        # Elsewhere it is an argument of the operation's own.
        output = named_values.pop("output", None) if command.returns == "download" else None
        _call(command, named_values, as_json=as_json, output=output)

    parameter = inspect.Parameter
    positional = [
        parameter(a.name, parameter.POSITIONAL_OR_KEYWORD, annotation=_annotation(a))
        for a in rows
        if a.place in {"path", "raw"}
    ]
    named = [
        parameter(
            a.name,
            parameter.KEYWORD_ONLY,
            default=parameter.empty if a.required else None,
            annotation=_annotation(a),
        )
        for a in rows
        if a.place in {"query", "body"}
    ]
    if has_project:
        project = Annotated[str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")]
        named.append(parameter("project", parameter.KEYWORD_ONLY, default=None, annotation=project))
    if command.returns == "download":
        output = Annotated[Path | None, Parameter(help="File to write to; standard output otherwise.")]
        named.append(parameter("output", parameter.KEYWORD_ONLY, default=None, annotation=output))
    as_json = Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)]
    named.append(parameter("json", parameter.KEYWORD_ONLY, default=False, annotation=as_json))
    run.__signature__ = inspect.Signature([*positional, *named])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*positional, *named)}
    run.__doc__ = "\n\n".join(filter(None, [command.summary, command.description]))
    run.__name__ = command.verb.replace("-", "_")
    return run


def _call(command: Command, given: dict[str, Any], *, as_json: bool, output: Path | None) -> None:
    # Only commands that talk to the server pay for the HTTP client.
    from gimbal.faces.client.transport import Transport

    places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}, "raw": {}}
    for argument in command.arguments:
        value = given.get(argument.name)
        if value is None and argument.place != "path":
            continue
        places[argument.place][argument.name] = _value(argument, value)
    transport = Transport()
    if command.returns == "download":
        _save(transport.download(command.path, path=places["path"], query=places["query"]), output)
        return
    has_body = any(a.place == "body" for a in command.arguments)
    raw = next(iter(places["raw"].values()), None)
    result = transport.call(
        command.method,
        command.path,
        type(None) if command.returns == "none" else Any,
        path=places["path"],
        query=places["query"],
        body=places["body"] if has_body or (command.method == "POST" and raw is None) else None,
        raw=raw,
    )
    name = f"{command.group}.{command.verb}"
    if command.returns == "none":
        show.line("null" if as_json else "done", style="" if as_json else "green")
        return
    show.result(result, as_json=as_json, columns=COLUMNS.get(name, ()))
    field, bad = FAILED.get(name, ("", None))
    if field and cast("dict[str, Any]", result).get(field) == bad:
        raise SystemExit(1)


def _is_key(argument: Argument) -> bool:
    return argument.place == "body" and argument.name == "key"


def _value(argument: Argument, value: Any) -> Any:
    if _is_key(argument) and value and value.startswith("@"):
        return _read(value[1:], argument.name).strip()
    if argument.type == "raw" and not value.is_file():
        raise BadInput(f"There is no file {value}.", where=argument.name, todo="Give the path of a file.")
    if argument.type != "json" or value is None:
        return value
    text = _read(value[1:], argument.name) if value.startswith("@") else value
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as problem:
        # A plain word is the text that it is; nobody wants to quote it twice.
        if not value.startswith("@") and not text.lstrip().startswith(("{", "[", '"')):
            return text
        raise BadInput(
            f"--{argument.name.replace('_', '-')} is not JSON: {problem}.",
            where=argument.name,
            todo='Write it like {"depth": 3} in single quotes, or put it into a file: @FILE.',
        ) from None


def _read(name: str, where: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{name} is not UTF-8.", where=where, todo="Save it as UTF-8.") from None


def _save(chunks: Any, output: Path | None) -> None:
    if output is None:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        return
    partial = output.with_name(output.name + ".part")
    size = 0
    try:
        with partial.open("wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    show.remark(f"{values.size(size)} written to {output}")
