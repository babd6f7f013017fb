"""Writes the typed SDK from the operation table: `python -m gimbal.faces.client.generate`.

The result is kept under version control in `generated/`, so that the client needs no server code to be imported; a
contract test fails when it is not what this module would write.
"""

import inspect
import keyword
import subprocess
import sys
import textwrap
import types
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from gimbal.faces.cli import manifest
from gimbal.faces.server.capabilities import load_operations
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import Operation, Parameter, meaning, operations
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref
from gimbal.kernel.settings import field_docs

FOLDER = Path(__file__).parent / "generated"


class _Imports:
    """Collects what a module has to import while types are written."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = defaultdict(set)

    def add(self, module: str, name: str) -> str:
        self._names[module].add(name)
        return name

    def type(self, kind: Any) -> str:
        """Return the source text of a type."""
        if kind is type(None):
            return "None"
        if kind is Any:
            return self.add("typing", "Any")
        if get_origin(kind) is Annotated:
            return self.type(get_args(kind)[0])
        origin, args = get_origin(kind), get_args(kind)
        if origin in {Union, types.UnionType}:
            return " | ".join(dict.fromkeys(self.type(a) for a in args))
        if origin is Literal:
            return f"{self.add('typing', 'Literal')}[{', '.join(map(repr, args))}]"
        if args:
            inner = ", ".join("..." if a is Ellipsis else self.type(a) for a in args)
            return f"{self.type(origin)}[{inner}]"
        if kind.__module__ == "builtins":
            return str(kind.__name__)
        return self.add(kind.__module__, kind.__qualname__)

    def argument(self, kind: Any) -> str:
        """Return the type that a caller may give: a Ref also as text, sequences as such."""
        text = self.type(kind)
        return text.replace("Ref", "Ref | str", 1) if kind is Ref or Ref in get_args(kind) else text

    def lines(self) -> list[str]:
        """Return the import statements; the formatter sorts them."""
        return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self._names.items())]


def class_name(group: str) -> str:
    """Return the class of a group: `runs` is `Runs`."""
    return "".join(part.capitalize() for part in group.split("_"))


def method_name(op: Operation) -> str:
    """Return the method of an operation: `assets.move-alias` is `move_alias`."""
    name = op.verb.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


def body_fields(op: Operation) -> list[msgspec.structs.FieldInfo]:
    """Return the fields of the JSON body, or none."""
    body = op.body
    if body is None or body.type is Upload:
        return []
    return list(msgspec.structs.fields(body.type))


def body_docs(op: Operation) -> dict[str, str]:
    """Return the meaning of each field of the JSON body."""
    kind: Any = op.body.type if op.body else None
    return field_docs(kind) if body_fields(op) else {}


def _signature(op: Operation, imports: _Imports) -> tuple[list[str], list[str]]:
    """Return the arguments of the method and the lines of its Args section."""
    positional: list[str] = []
    named: list[str] = []
    docs: list[str] = []
    for p in op.parameters:
        if p.name == "project":
            continue
        docs += _doc(p.name, p.doc) if p.place != "body" else []
        if p.place == "path":
            positional.append(f"{p.name}: {imports.argument(p.type)}")
        elif p.place == "query":
            named.append(_query_argument(p, imports))
    if op.body is not None and op.body.type is Upload:
        positional.append(f"content: {imports.add('gimbal.faces.client.transport', 'RawBody')}")
        docs += _doc("content", "The raw bytes, a file, or chunks.")
    field_texts = body_docs(op)
    for field in body_fields(op):
        docs += _doc(field.name, field_texts.get(field.name, ""))
        kind = imports.argument(field.type)
        if field.required:
            named.append(f"{field.name}: {kind}")
        else:
            unset = imports.add("msgspec", "UNSET")
            named.append(f"{field.name}: {kind} | {imports.add('msgspec', 'UnsetType')} = {unset}")
    if any(p.name == "project" for p in op.parameters):
        named.append("project: str | None = None")
    return positional + (["*", *named] if named else []), docs


def _doc(name: str, text: str) -> list[str]:
    body = textwrap.wrap(f"{name}: {text}" if text else name, 100)
    return [body[0], *("    " + line for line in body[1:])]


def _query_argument(p: Parameter, imports: _Imports) -> str:
    kind = imports.argument(p.type)
    if p.required:
        return f"{p.name}: {kind}"
    default = p.default if p.default is None or isinstance(p.default, str | int | float | bool) else None
    if default is None and "None" not in kind:
        kind += " | None"
    return f"{p.name}: {kind} = {default!r}"


def _method(op: Operation, imports: _Imports) -> str:
    arguments, docs = _signature(op, imports)
    raw_out = op.returns is Download
    result = f"{imports.add('collections.abc', 'Iterator')}[bytes]" if raw_out else imports.type(op.returns)
    lines = [f"def {method_name(op)}({', '.join(['self', *arguments])}) -> {result}:"]
    text = [op.summary, *(["", *op.description.splitlines()] if op.description else [])]
    if docs:
        text += ["", "Args:", *("    " + line for line in docs)]
    quoted = "\n".join(text).replace("\\", "\\\\")
    lines.append(textwrap.indent(f'"""{quoted}{chr(10) if len(text) > 1 else ""}"""', "    "))
    places: dict[str, list[str]] = {"path": [], "query": []}
    for p in op.parameters:
        if p.place != "body":
            places[p.place].append(f"{p.name!r}: {p.name}")
    call = [] if raw_out else [repr(op.method)]
    call += [repr(op.path)] + (
        [] if raw_out else [imports.type(op.returns) if op.returns is not type(None) else "type(None)"]
    )
    call.append("path={" + ", ".join(places["path"]) + "}")
    if places["query"]:
        call.append("query={" + ", ".join(places["query"]) + "}")
    if op.body is not None:
        fields = ", ".join(f"{f.encode_name!r}: {f.name}" for f in body_fields(op))
        call.append("raw=content" if op.body.type is Upload else "body={" + fields + "}")
    verb = "download" if raw_out else "call"
    keyword_return = "" if op.returns is type(None) else "return "
    lines.append(f"    {keyword_return}self._transport.{verb}({', '.join(call)})")
    return "\n".join(lines)


def module_text(group: str, rows: list[Operation]) -> str:
    """Return the source of one generated module, before formatting."""
    imports = _Imports()
    imports.add("gimbal.faces.client.group", "Group")
    methods = [textwrap.indent(_method(op, imports), "    ") for op in rows]
    head = f'"""{class_name(group)}: written by gimbal.faces.client.generate, not by hand."""'
    doc = f'    """{meaning(group)}"""'
    body = "\n\n".join([f"class {class_name(group)}(Group):\n{doc}", *methods])
    # A method called `list` would otherwise stand in the way of the type in the annotations behind it.
    return "\n\n".join([head, "from __future__ import annotations", "\n".join(imports.lines()), body]) + "\n"


def client_text(groups: list[str]) -> str:
    """Return the source of the class that holds all groups."""
    imports = [f"from gimbal.faces.client.generated.{g} import {class_name(g)}" for g in groups]
    imports.append("from gimbal.faces.client.transport import Transport")
    made = "\n".join(f"        self.{g} = {class_name(g)}(transport)" for g in groups)
    return (
        '"""Every group of operations: written by gimbal.faces.client.generate, not by hand."""\n\n'
        + "\n".join(imports)
        + '\n\n\nclass Groups:\n    """One attribute per group of operations."""\n\n'
        + "    def __init__(self, transport: Transport) -> None:\n"
        + made
        + "\n"
    )


def command_rows() -> bytes:
    """Return the manifest that the command line reads."""
    load_operations()
    rows = [_command(op) for op in operations() if "cli" not in op.absent]
    table = manifest.Manifest(meanings={row.group: meaning(row.group) for row in rows}, commands=rows)
    return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def _command(op: Operation) -> manifest.Command:
    arguments: list[manifest.Argument] = []
    for p in op.parameters:
        if p.place != "body":
            default = p.default if isinstance(p.default, str | int | float | bool) else None
            arguments.append(
                manifest.Argument(
                    name=p.name, place=p.place, type=_plain(p.type), required=p.required, default=default, doc=p.doc
                )
            )
    if op.body is not None and op.body.type is Upload:
        arguments.append(
            manifest.Argument(name="file", place="raw", type="raw", required=True, doc="File whose bytes are sent.")
        )
    texts = body_docs(op)
    arguments += [
        manifest.Argument(
            name=f.name, place="body", type=_plain(f.type), required=f.required, doc=texts.get(f.name, "")
        )
        for f in body_fields(op)
    ]
    return manifest.Command(
        group=op.group,
        verb=op.verb,
        method=op.method,
        path=op.path,
        summary=op.summary,
        description=op.description,
        returns=_shape(op.returns),
        arguments=arguments,
    )


def _plain(kind: Any) -> str:
    """Return the manifest's name of a type; what is not plain is given as JSON."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    parts = [a for a in get_args(kind) if a is not type(None)]
    if get_origin(kind) in {Union, types.UnionType} and len(parts) == 1:
        return _plain(parts[0])
    if kind == list[str]:
        return "list"
    if isinstance(kind, type) and issubclass(kind, bool):
        return "bool"
    if kind in {int, float}:
        return kind.__name__
    if kind in {str, Ref, datetime, Decimal} or (isinstance(kind, type) and issubclass(kind, str)):
        return "str"
    return "json"


def _shape(kind: Any) -> str:
    if kind is type(None):
        return "none"
    if kind is Download:
        return "download"
    origin = get_origin(kind)
    return "page" if origin is Page else "list" if origin is list else "record"


def modules() -> dict[str, str]:
    """Return the formatted source of every generated module by file name."""
    load_operations()
    groups: dict[str, list[Operation]] = defaultdict(list)
    for op in operations():
        if "sdk" not in op.absent:
            groups[op.group].append(op)
    texts = {f"{group}.py": module_text(group, rows) for group, rows in sorted(groups.items())}
    texts["all.py"] = client_text(sorted(groups))
    texts["__init__.py"] = '"""Typed methods for every operation; written by gimbal.faces.client.generate."""\n'
    return {name: formatted(text) for name, text in texts.items()}


def formatted(text: str) -> str:
    """Return source text as ruff's formatter and import sorter leave it."""
    ruff = [sys.executable, "-m", "ruff"]
    sorted_ = subprocess.run(  # noqa: S603 - our own arguments
        [*ruff, "check", "--select", "I,D", "--fix-only", "-q", "--stdin-filename", "src/gimbal/x.py", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return subprocess.run(  # noqa: S603 - our own arguments
        [*ruff, "format", "-q", "--stdin-filename", "src/gimbal/x.py", "-"],
        input=sorted_,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def main() -> None:
    """Write the modules and remove those of groups that are gone."""
    texts = modules()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.py"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    manifest.PATH.write_bytes(command_rows())
    sys.stdout.write(f"{len(texts)} modules in {inspect.getfile(main)[: -len('generate.py')]}generated\n")


if __name__ == "__main__":
    main()
