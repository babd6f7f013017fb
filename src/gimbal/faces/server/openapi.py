"""The OpenAPI 3.1 document of the operation table; the reference page and other generators read it."""

from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from gimbal.kernel.context import Permission
from gimbal.kernel.errors import ErrorReply
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import PREFIX, Operation, Parameter, meaning, operations
from gimbal.kernel.refs import KIND, NAME, Ref
from gimbal.kernel.settings import field_docs

_TEMPLATE = "#/components/schemas/{name}"


# A reference travels as text, whatever it is inside.
_REF = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^{KIND.pattern}:{NAME.pattern}(?:@.+)?$",
        examples=["model:flights/delay@production", "prompt:support/answer@v7", "dataset:flights/train"],
    ),
]


def _as_sent(kind: Any) -> Any:
    """Return the type as which a value of `kind` travels: text for a reference, also within a union or a list."""
    if kind is Ref:
        return _REF
    inner = get_args(kind)
    if Ref not in inner:
        return kind
    sent = tuple(_as_sent(part) for part in inner)
    return Union[sent] if get_origin(kind) in {Union, UnionType} else get_origin(kind)[sent]  # noqa: UP007 - made at run time


def _plain(kind: Any) -> bool:
    return kind not in {Upload, Download, type(None)}


def schemas(kinds: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the JSON schema of each type and the named components they share, field docstrings included."""
    sent = [_as_sent(kind) for kind in kinds]
    found, components = msgspec.json.schema_components(sent, ref_template=_TEMPLATE)
    by_name: dict[str, type[msgspec.Struct]] = {}
    for kind in _structs(sent):
        by_name[kind.__name__] = by_name[f"{kind.__module__}.{kind.__qualname__}"] = kind
    for name, component in components.items():
        # Where two rooms have a record of one name, both go by their full ones; `Page[Run]` is documented as Page.
        kind = by_name.get(name) or by_name.get(str(component.get("title", "")).partition("[")[0])
        for field, text in field_docs(kind).items() if kind else ():
            schema = component.get("properties", {}).get(field)
            if schema is not None and "description" not in schema:
                component["properties"][field] = {"description": text, **schema}
    return list(found), components


def _structs(kinds: list[Any]) -> list[type[msgspec.Struct]]:
    seen: list[type[msgspec.Struct]] = []
    todo = list(kinds)
    while todo:
        kind = todo.pop()
        origin = get_origin(kind)
        if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            todo.append(origin)
        todo.extend(get_args(kind))
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen.append(kind)
            todo.extend(field.type for field in msgspec.structs.fields(kind))
    return seen


def document(version: str) -> dict[str, Any]:
    """Return the whole document."""
    table = operations()
    kinds: list[Any] = [ErrorReply]
    for op in table:
        kinds += [p.type for p in op.parameters if _plain(p.type)]
        kinds += [op.returns] if _plain(op.returns) else []
    found, components = schemas(kinds)
    by_kind = {_key(kind): schema for kind, schema in zip(kinds, found, strict=True)}
    paths: dict[str, Any] = {}
    for op in table:
        paths.setdefault(PREFIX + op.path, {})[op.method.lower()] = _row(op, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gimbal",
            "version": version,
            "summary": "Predictive models and LLM applications on one axis.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": meaning(name)} for name in sorted({op.group for op in operations()})],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key `gk_…`."}},
        },
    }


def _key(kind: Any) -> str:
    return repr(kind)


def _row(op: Operation, by_kind: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "operationId": op.name,
        "tags": [op.group],
        "summary": op.summary,
        "description": "\n\n".join(filter(None, [op.description, f"Needs the permission `{op.allow.name.lower()}`."])),
        "parameters": [_parameter(p, by_kind) for p in op.parameters if p.place != "body"],
        "responses": {
            str(op.status): _success(op, by_kind),
            "default": {
                "description": "What happened, what was kept, what to do.",
                "content": {"application/json": {"schema": by_kind[_key(ErrorReply)]}},
            },
        },
    }
    if op.allow is Permission.OPEN:
        row["security"] = []
    if op.body is not None:
        content = (
            {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
            if op.body.type is Upload
            else {"application/json": {"schema": by_kind[_key(op.body.type)]}}
        )
        row["requestBody"] = {"required": True, "content": content}
    return row


def _parameter(parameter: Parameter, by_kind: dict[str, Any]) -> dict[str, Any]:
    schema = dict(by_kind[_key(parameter.type)])
    if parameter.default is not None:
        schema["default"] = msgspec.to_builtins(parameter.default, enc_hook=str)
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.doc,
        "schema": schema,
    }


def _success(op: Operation, by_kind: dict[str, Any]) -> dict[str, Any]:
    if op.returns is type(None):
        return {"description": "Done."}
    if op.returns is Download:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    else:
        content = {"application/json": {"schema": by_kind[_key(op.returns)]}}
    return {"description": "The result.", "content": content}


def tool_schema(op: Operation) -> dict[str, Any]:
    """Return the JSON schema of one object with all arguments, the body's fields among them (MCP)."""
    kinds = [p.type for p in op.parameters]
    found, components = schemas(kinds)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter, schema in zip(op.parameters, found, strict=True):
        if parameter.place == "body":
            name = schema.get("$ref", "").rpartition("/")[2]
            body = components.get(name, schema)
            properties |= body.get("properties", {})
            required += body.get("required", [])
        else:
            properties[parameter.name] = {**schema, "description": parameter.doc}
            required += [parameter.name] if parameter.required else []
    result: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    result["additionalProperties"] = False
    used = _used(properties, components)
    if used:
        result["$defs"] = used
    return _rebase(result)


def _used(node: Any, components: dict[str, Any]) -> dict[str, Any]:
    """Return the components that `node` refers to, those that they refer to included."""
    found: dict[str, Any] = {}
    todo = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo.extend(part)
        elif isinstance(part, dict):
            todo.extend(part.values())
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name in components and name not in found:
                found[name] = components[name]
                todo.append(components[name])
    return {name: found[name] for name in sorted(found)}


def _rebase(node: Any) -> Any:
    """Point references of components at `$defs`, where a stand-alone schema keeps them."""
    if isinstance(node, dict):
        return {
            k: v.replace("#/components/schemas/", "#/$defs/") if k == "$ref" else _rebase(v) for k, v in node.items()
        }
    if isinstance(node, list):
        return [_rebase(item) for item in node]
    return node.isoformat() if isinstance(node, datetime) else node
