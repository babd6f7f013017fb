"""Finds the command or group that the first word names, builds it, runs it, shows errors."""

import importlib
import importlib.util

from cyclopts import App, CycloptsError, Group, UnusedCliTokensError

from gimbal.faces.cli import commands, manifest, overview, show
from gimbal.kernel.errors import GimbalError

_HERE, _THERE, _FLAGS = (Group(title, sort_key=place) for place, title in enumerate(overview.TITLES, 1))
_USAGE, _USAGE_OF_EVAL = 2, 3
"""Exit codes of wrong usage: of `eval` 2 says underpowered, which a mistyped flag is not."""
_GROUPS = "gimbal.faces.cli.groups"
_PLACES = ("gimbal.axis", "gimbal.predictive", "gimbal.generative", "gimbal.generative.gateway")


def _version() -> str:
    return importlib.import_module("importlib.metadata").version("gimbal-ops")


def build(words: list[str]) -> App:
    """Return the app with the commands that `words` may need; other groups appear with their meaning only."""
    # As plain text: to read it as Markdown takes longer than all the rest. So do the versions of packages.
    app = App(name="gimbal", help=overview.HELP, help_format="plaintext", version=_version)
    for flag in ("--help", "--version"):
        app[flag].group = _FLAGS
    asked = next((word for word in words if not word.startswith("-")), "")
    for name, (module, meaning) in overview.HERE.items():
        if name == asked:
            app.command(getattr(importlib.import_module(module), name), group=_HERE)
        else:
            # By its path: what is only listed is not loaded.
            app.command(f"{module}:{name}", name=name, help=meaning, group=_HERE)
    table = manifest.read()
    for group, meaning in table.meanings.items():
        sub = App(name=group.replace("_", "-"), help=meaning, group=_THERE)
        if group.replace("_", "-") == asked:
            for command in (c for c in table.commands if c.group == group):
                commands.add(sub, command)
            _add_own(sub, group)
        app.command(sub)
    for name, (module, meaning) in overview.OWN.items():
        sub = App(name=name, help=meaning, group=_THERE)
        if asked == name:
            importlib.import_module(module).add(sub)
        app.command(sub)
    return app


def _add_own(sub: App, group: str) -> None:
    """Add the commands that are more than one operation: those that a room wrote itself, and those of the faces."""
    rooms = [f"{place}.{group}" for place in _PLACES if importlib.util.find_spec(f"{place}.{group}")]
    for name in (*(f"{room}.commands" for room in rooms), f"{_GROUPS}.{group}"):
        if importlib.util.find_spec(name):
            importlib.import_module(name).add(sub)


def _told(problem: CycloptsError) -> str:
    if isinstance(problem, UnusedCliTokensError):
        return f"there is no place for {' '.join(problem.unused_tokens or ())!r}."
    # The list of all that there are is in the help, and longer than the question that helps.
    return " ".join(str(problem).partition(" Available commands:")[0].split())


def run(words: list[str]) -> None:
    """Run what the words say; exit with 1 on a Gimbal error and 2 on wrong usage."""
    try:
        build(words)(words, exit_on_error=False, print_error=False)
    except CycloptsError as problem:
        show.usage(_told(problem), " ".join(["gimbal", *(problem.command_chain or ())]))
        raise SystemExit(_USAGE_OF_EVAL if words[:1] == ["eval"] else _USAGE) from None
    except GimbalError as problem:
        show.error(problem)
        raise SystemExit(1) from None
