"""How settings are read: a file in TOML as a tree, the text of a variable as its type, and what each field means."""

import ast
import inspect
import itertools
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import msgspec

from gimbal.kernel.errors import CorruptSettings


def read_file(path: Path) -> dict[str, Any]:
    """Return what a settings file says; raise CorruptSettings when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise CorruptSettings(
            f"The settings file cannot be read: {problem.strerror}.", where=str(path), todo="Check the path and rights."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise CorruptSettings(
            f"The settings file is not valid TOML: {problem}.", where=str(path), todo="Mend that line and start again."
        ) from None


def from_text(text: str, kind: Any, variable: str) -> Any:
    """Return the value that a variable's text is; raise CorruptSettings when it is not of its type."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is str or get_origin(kind) is Literal:
        return text
    try:
        if kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return msgspec.convert(text, kind, strict=False) if kind in {int, float, bool} else msgspec.json.decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError):
        shape = kind.__name__ if isinstance(kind, type) else "JSON"
        raise CorruptSettings(
            f"{text!r} is not a value for {variable}.", where=variable, todo=f"Give a value of type {shape}."
        ) from None


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path of the tree."""
    for part in path[:-1]:
        section: Any = tree.setdefault(part, {})
        if not isinstance(section, dict):
            return  # the file has a value where a section belongs; the check of the whole tree says so
        tree = cast("dict[str, Any]", section)
    tree[path[-1]] = value


def get(tree: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path of the tree; None where there is none."""
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = cast("dict[str, Any]", tree)[part]
    return tree


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each field of a Struct, inherited ones too, read from the source."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            docs |= _own_docs(base)
    return docs


def _own_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(kind).lstrip())
    body = cast("ast.ClassDef", tree.body[0]).body
    docs: dict[str, str] = {}
    for field, after in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs[field.target.id] = inspect.cleandoc(value.value)
    return docs
