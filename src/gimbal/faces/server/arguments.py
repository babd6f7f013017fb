"""Arguments of an operation from the outside: path, query and body of HTTP, or the one JSON object of an MCP call."""

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from gimbal.kernel.errors import BadInput, UnknownField
from gimbal.kernel.http import Upload
from gimbal.kernel.operations import Operation, Parameter, decode_body, decode_value, nearest


def from_http(
    op: Operation, path: Mapping[str, str], query: Mapping[str, list[str]], body: bytes | Upload
) -> dict[str, Any]:
    """Decode what came over HTTP; raise BadInput or UnknownField that name the place."""
    known = {p.name for p in op.parameters if p.place == "query"}
    for name in query:
        if name not in known:
            raise UnknownField(
                f"{op.name} has no parameter {name!r}.",
                where=f"query.{name}",
                todo=nearest(name, known) or f"It takes: {', '.join(sorted(known)) or 'none'}.",
            )
    arguments: dict[str, Any] = {}
    for parameter in op.parameters:
        if parameter.place == "path":
            arguments[parameter.name] = decode_value(path[parameter.name], parameter.type, f"path.{parameter.name}")
        elif parameter.place == "query":
            if parameter.name in query:
                arguments[parameter.name] = _query_value(parameter, query[parameter.name])
            elif parameter.required:
                raise _missing(op, f"query.{parameter.name}")
        elif parameter.type is Upload:
            arguments["body"] = body
        else:
            raw = body if isinstance(body, bytes) else b""
            arguments["body"] = decode_body(raw, parameter.type)
    return arguments


def from_object(op: Operation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Decode one JSON object that holds all arguments, the fields of the body among them (MCP)."""
    rest = dict(values)
    arguments: dict[str, Any] = {}
    for parameter in op.parameters:
        if parameter.place == "body":
            continue
        if parameter.name in rest:
            arguments[parameter.name] = decode_value(rest.pop(parameter.name), parameter.type, parameter.name)
        elif parameter.required:
            raise _missing(op, parameter.name)
    if op.body is not None:
        arguments["body"] = decode_body(msgspec.json.encode(rest), op.body.type)
    elif rest:
        name = min(rest)
        todo = nearest(name, [p.name for p in op.parameters]) or "See its input schema."
        raise UnknownField(f"{op.name} has no argument {name!r}.", where=name, todo=todo)
    return arguments


def _query_value(parameter: Parameter, values: list[str]) -> Any:
    many = get_origin(parameter.type) is list or any(get_origin(a) is list for a in get_args(parameter.type))
    if not many and len(values) > 1:
        raise BadInput(
            f"{parameter.name!r} is given {len(values)} times.", where=f"query.{parameter.name}", todo="Give it once."
        )
    return decode_value(values if many else values[0], parameter.type, f"query.{parameter.name}")


def _missing(op: Operation, where: str) -> BadInput:
    return BadInput(f"{op.name} needs {where.rpartition('.')[2]!r}.", where=where, todo="Add it.")
