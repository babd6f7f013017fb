"""`gimbal guards publish FILE…`: read policy files and send each to `guards.publish`.

The CLI loads this and hands in the app of the group; everything else about policies is an operation.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gimbal.axis.assets.publishing import AsJson, Note, Project, publish_files


def publish(
    *files: Annotated[Path, Parameter(help="Policy files in TOML.")],
    note: Note = "",
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Turn policy files into versions.

    Each file is checked as a whole before it is stored, and publishing it twice changes nothing.
    """
    publish_files("guards", files, what="policy", example="gateway.toml", note=note, project=project, json=json)


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(publish)
