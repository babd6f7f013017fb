"""The reference page at `/docs/api`: every operation with its arguments and its names on every face; no script needed."""

import re
from typing import Any

import msgspec

from gimbal.faces.client.generate import body_fields, class_name, method_name
from gimbal.faces.server import mcp
from gimbal.kernel.http import Upload, dialect_routes
from gimbal.kernel.operations import PREFIX, Operation, operations
from gimbal.kernel.settings import field_docs

# The place of a type in our source, before its name.
_MODULE = re.compile(r"\bgimbal(?:\.[a-z_0-9]+)+\.")


def type_name(kind: Any) -> str:
    """Return a type as people write it."""
    text = str(getattr(kind, "__name__", kind)) if isinstance(kind, type) else str(kind)
    for noise in ("typing.", "datetime."):
        text = text.replace(noise, "")
    return _MODULE.sub("", text)


def row(op: Operation) -> dict[str, Any]:
    """Return one operation as the page shows it."""
    arguments: list[dict[str, Any]] = [
        {"name": p.name, "place": p.place, "type": type_name(p.type), "required": p.required, "doc": p.doc}
        for p in op.parameters
        if p.place != "body"
    ]
    if op.body is not None and op.body.type is Upload:
        arguments.append({"name": "body", "place": "raw bytes", "type": "bytes", "required": True, "doc": ""})
    elif op.body is not None:
        docs = field_docs(op.body.type)
        arguments += [
            {
                "name": f.name,
                "place": "body",
                "type": type_name(f.type),
                "required": f.required,
                "doc": docs.get(f.name, ""),
            }
            for f in body_fields(op)
        ]
    faces = {"SDK": f"client.{op.group}.{method_name(op)}(…)" if "sdk" not in op.absent else ""}
    faces["CLI"] = f"gimbal {op.group.replace('_', '-')} {op.verb.replace('_', '-')}" if "cli" not in op.absent else ""
    faces["MCP"] = mcp.tool_name(op) if not op.streams and "mcp" not in op.absent else ""
    return {
        "op": op,
        "path": PREFIX + op.path,
        "arguments": arguments,
        "faces": faces,
        "permission": op.allow.name.lower(),
    }


def groups() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the operations by group: name, title, rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for op in operations():
        found.setdefault(op.group, []).append(row(op))
    return [(name, class_name(name), rows) for name, rows in sorted(found.items())]


def data() -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "groups": groups(),
        "dialects": sorted(
            (msgspec.structs.asdict(r) | {"permission": r.allow.name.lower()} for r in dialect_routes()),
            key=lambda r: (r["dialect"], r["path"]),
        ),
    }
