"""What is told of a function, so that its answers are of a version: its name, its source, what it takes.

The same source under the same name is the same version. What it imports or closes over is no part of that.
"""

import functools
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from gimbal.axis.assets.model import Version
from gimbal.faces.client.client import Client
from gimbal.faces.client.wire import text

_MOST_SOURCE = 1_000_000
_MOST_SIGNATURE = 5_000
_MOST_WORD = 500
_SEGMENTS, _SEGMENT = 8, 60
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ODD = re.compile(r"[^a-z0-9._-]+")


def register(client: Client, function: Callable[..., Any]) -> Version:
    """Store a function as a version of kind `function`."""
    written = _written(function)
    module, name = _module(written), _name(written)
    source = _source(written)
    return client.functions.register(
        name=_asset(module, name),
        function=text(name)[:_MOST_WORD],
        module=text(module)[:_MOST_WORD],
        signature=_signature(function),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        bytecode="" if source else _compiled(written),
        source=source,
    )


def _written(function: Callable[..., Any]) -> Any:
    """Return what stands in a file: the function inside wrappers, the class of an object that can be called."""
    found: Any = function
    while isinstance(found, functools.partial):
        found = found.func
    found = inspect.unwrap(found)
    return found if inspect.isroutine(found) or inspect.isclass(found) else type(found)


def _module(written: Any) -> str:
    module = str(getattr(written, "__module__", None) or "")
    if module != "__main__":
        return module
    # What a script is called tells more than that it is the one that runs.
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(path).stem if path else "main"


def _name(written: Any) -> str:
    return str(getattr(written, "__qualname__", None) or type(written).__name__).rpartition("<locals>.")[2]


def _asset(module: str, name: str) -> str:
    """Return a name of an asset: `shop.help`, `Bot.answer` → `shop/help/bot.answer`."""
    parts = [_ODD.sub("-", part.lower())[:_SEGMENT].strip("._-") for part in [*module.split("."), name]]
    return "/".join([part for part in parts if part][-_SEGMENTS:]) or "function"


def _signature(function: Callable[..., Any]) -> str:
    try:
        said = str(inspect.signature(function))
    except (TypeError, ValueError):
        return ""
    # Where an object lies differs from run to run, and would make each run a version of its own.
    return text(_ADDRESS.sub("", said))[:_MOST_SIGNATURE]


def _source(written: Any) -> str:
    try:
        source = text(textwrap.dedent(inspect.getsource(written)))
    except (OSError, TypeError, SyntaxError, IndexError):
        return ""
    return source if len(source) <= _MOST_SOURCE else ""


def _compiled(written: Any) -> str:
    """Return a digest of what was compiled; empty for what was not compiled from Python."""
    code: Any = getattr(getattr(written, "__func__", written), "__code__", None)
    return hashlib.sha256(_parts(code).encode()).hexdigest()[:32] if isinstance(code, CodeType) else ""


def _parts(code: CodeType) -> str:
    constants = [_parts(one) if isinstance(one, CodeType) else _constant(one) for one in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames))


def _constant(value: object) -> str:
    # The order of a set differs from process to process.
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)
