"""The entry point `gimbal`: finds the group that the first word names, builds it, runs it, shows errors."""

import importlib
import importlib.util
import os
import sys

from cyclopts import App, CycloptsError, Group, UnusedCliTokensError

from gimbal.faces.cli import commands, local, manifest, show
from gimbal.kernel.errors import BadInput, GimbalError

_HELP = """Operate predictive models and LLM applications together. Start with `gimbal up`.

GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT say which server, as whom, and in which project.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
_HERE = Group("This machine", sort_key=1)
_THERE = Group("On the server", sort_key=2)
_FLAGS = Group("Options", sort_key=3)
# Groups of commands that are more than operations, by the module that adds them when they are asked for.
_OWN = {
    "eval": ("gimbal.faces.cli.evaluating", "Put a version through a suite and compare it, for people and CI."),
    "import": (
        "gimbal.faces.importing.commands",
        "Runs of MLflow, Weights & Biases, Neptune and Trackio, brought here.",
    ),
}
_USAGE, _USAGE_OF_EVAL = 2, 3
"""Exit codes of wrong usage: of `eval` 2 says underpowered, which a mistyped flag is not."""
_GROUPS = "gimbal.faces.cli.groups"
_PLACES = ("gimbal.axis", "gimbal.predictive", "gimbal.generative", "gimbal.generative.gateway")


def _version() -> str:
    return importlib.import_module("importlib.metadata").version("gimbal-ops")


def build(words: list[str]) -> App:
    """Return the app with the commands that `words` may need; other groups appear with their meaning only."""
    # As plain text: to read it as Markdown takes longer than all the rest. So do the versions of packages.
    app = App(name="gimbal", help=_HELP, help_format="plaintext", version=_version)
    for flag in ("--help", "--version"):
        app[flag].group = _FLAGS
    local.add_all(app, _HERE)
    table = manifest.read()
    asked = next((word for word in words if not word.startswith("-")), "")
    for group, meaning in table.meanings.items():
        sub = App(name=group.replace("_", "-"), help=meaning, group=_THERE)
        if group.replace("_", "-") == asked:
            for command in (c for c in table.commands if c.group == group):
                commands.add(sub, command)
            _add_own(sub, group)
        app.command(sub)
    for name, (module, meaning) in _OWN.items():
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


def main(words: list[str] | None = None) -> None:
    """Run the command line, or other words; exit with 1 on a Gimbal error and 2 on wrong usage."""
    words = sys.argv[1:] if words is None else words
    try:
        build(words)(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as problem:
        show.usage(_told(problem), " ".join(["gimbal", *(problem.command_chain or ())]))
        raise SystemExit(_USAGE_OF_EVAL if words[:1] == ["eval"] else _USAGE) from None
    except GimbalError as problem:
        show.error(problem)
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Whoever read the output has had enough (`| head`); what is buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as problem:
        what = f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem)
        show.error(BadInput(f"{what}.", todo="Check the path and the permissions."))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
