"""`gimbal prompts diff A B`: what differs between two versions of prompts, in what they mean and line by line.

`gimbal prompts optimise` is `faces/cli/optimising`. The CLI loads this and hands in the app of the group; what else there is
of prompts is the room's own, or an operation.
"""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import show
from gimbal.faces.cli.optimising import optimise
from gimbal.faces.cli.sync import show_changes, show_text


def diff(
    before: Annotated[str, Parameter(help="Reference such as prompt:help/answer@production.")],
    after: Annotated[str, Parameter(help="Reference of the other version.")],
    *,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Show what differs between two versions of prompts: what it means, and line by line.

    A version that was made without a file is compared as the file that would be written for it.
    """
    # Only who asks pays for the HTTP client.
    from gimbal.faces.client.client import Client

    with Client(project=project) as client:
        found = client.prompts.diff(before, to=after)
    if json:
        show.result(msgspec.to_builtins(found), as_json=True)
        return
    show.line(f"{found.before} → {found.after}", style="bold")
    if not found.changes:
        show.line("  nothing differs")
        return
    show_changes(found.changes)
    show_text(found.text)


def add(app: App) -> None:
    """Add what `gimbal prompts` does beside its operations."""
    app.command(diff)
    app.command(optimise)
