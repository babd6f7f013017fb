"""The entry point `gimbal`: finds the group that the first word names, builds it, runs it, shows errors."""

import importlib
import importlib.util
import sys
from importlib.metadata import version

from cyclopts import App

from gimbal.faces.cli import commands, local, manifest, show
from gimbal.kernel.errors import GimbalError

_HELP = "Operate predictive models and LLM applications together. Start with `gimbal up`."
_RINGS = ("axis", "predictive", "generative")


def build(words: list[str]) -> App:
    """Return the app with the commands that `words` may need; other groups appear with their names only."""
    app = App(name="gimbal", help=_HELP, version=lambda: version("gimbal-ops"), default_parameter=None)
    local.add_all(app)
    table = manifest.read()
    asked = next((word for word in words if not word.startswith("-")), "")
    for group in table.groups():
        rows = [c for c in table.commands if c.group == group]
        # The summary of a group is made of its verbs: no second place to keep true.
        verbs = ", ".join(c.verb for c in rows)
        sub = App(name=group.replace("_", "-"), help=f"{group.replace('_', ' ').capitalize()}: {verbs}.")
        if group.replace("_", "-") == asked:
            for command in rows:
                commands.add(sub, command)
            _add_own(sub, group)
        app.command(sub)
    return app


def _add_own(sub: App, group: str) -> None:
    """Add the commands that a room wrote itself because they are more than one operation."""
    for ring in _RINGS:
        name = f"gimbal.{ring}.{group}.commands"
        if importlib.util.find_spec(f"gimbal.{ring}.{group}") and importlib.util.find_spec(name):
            importlib.import_module(name).add(sub)


def main() -> None:
    """Run the command line; exit with 1 on a Gimbal error and 2 on wrong usage."""
    try:
        build(sys.argv[1:])()
    except GimbalError as problem:
        show.error(problem)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
