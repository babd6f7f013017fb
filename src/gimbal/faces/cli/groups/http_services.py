"""`gimbal http-services publish FILE…`: read files of HTTP services and send each to `http_services.publish`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from gimbal.axis.assets.publishing import AsJson, Note, Project, publish_files


def publish(
    *files: Annotated[Path, Parameter(help="Files of HTTP services in TOML.")],
    note: Note = "",
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Turn files of HTTP services into versions, which suites can be put through as `http:NAME`.

    Each file is checked as a whole before it is stored, and publishing it twice changes nothing.
    """
    publish_files("http_services", files, what="service", example="answer.toml", note=note, project=project, json=json)


def add(app: App) -> None:
    """Put the commands into the app of the group."""
    app.command(publish)
