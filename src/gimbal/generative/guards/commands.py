"""`gimbal guards publish FILE…`: read policy files and send each to `guards.publish`.

The CLI loads this and hands in the app of the group; everything else about policies is an operation.
"""

import importlib
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from gimbal.generative.guards.views import PublishedPolicy
from gimbal.kernel.errors import BadInput


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path} is not UTF-8: {problem.reason}.", where=str(path), todo="Save it as UTF-8.") from None
    except OSError as problem:
        raise BadInput(
            f"{path} cannot be read: {problem.strerror}.", where=str(path), todo="Name a policy file."
        ) from None


def publish(
    *files: Annotated[Path, Parameter(help="Policy files in TOML.")],
    note: Annotated[str, Parameter(help="Why, for the history of new versions; a commit id is a good note.")] = "",
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Turn policy files into versions.

    Each file is checked as a whole before it is stored, and publishing it twice changes nothing.
    """
    if not files:
        raise BadInput("No file is named.", where="files", todo="Name one: gimbal guards publish gateway.toml.")
    texts = [(path, _text(path)) for path in files]
    done: list[PublishedPolicy] = []
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        for path, text in texts:
            done.append(client.guards.publish(text=text, path=str(path), note=note))
    print(msgspec.json.encode(done).decode() if json else _lines(done))  # noqa: T201 - the result of a command


def _lines(done: list[PublishedPolicy]) -> str:
    return "\n".join(f"{row.state:<9}  {row.ref}" for row in done)


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(publish)
