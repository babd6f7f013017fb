"""A Python function by its name on the command line: `python:package.module:function`, imported from the current folder."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gimbal.kernel.errors import BadInput

PREFIX = "python:"


def load(text: str) -> Callable[..., Any]:
    """Import a function; raise BadInput that says what is not there, or why it cannot be imported."""
    module, _, name = text.removeprefix(PREFIX).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise BadInput(f"{text!r} names no function.", where="--target", todo="Write python:package.module:function.")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - a module of somebody else may raise anything
        # Its own name is missing, or it is there and fails.
        lost = isinstance(problem, ModuleNotFoundError) and f"{module}.".startswith(f"{problem.name}.")
        told = f"There is no module {module!r}." if lost else f"{module} cannot be imported: {_said(problem)}."
        raise BadInput(told, where=text, todo=f"It is looked for in {folder} and where Python looks.") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise BadInput(f"{module} has no {name!r}.", where=text, todo="Name a function of it.")
        found = getattr(found, part)
    if not callable(found):
        raise BadInput(f"{name} of {module} cannot be called.", where=text, todo="Name a function of it.")
    return found


def _said(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}".removesuffix(": ").rstrip(".")
