"""What the commands share that turn files into versions: the files' texts, one call for each of them, and a line for each version."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from cyclopts import Parameter

from gimbal.kernel.errors import BadInput

Note = Annotated[str, Parameter(help="Why, for the history of new versions; a commit id is a good note.")]
Project = Annotated[str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")]
AsJson = Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)]


class Published(Protocol):
    """What an operation says of a file that it was given."""

    @property
    def ref(self) -> str:
        """The version, resolved."""
        ...

    @property
    def state(self) -> str:
        """What became of it: created, unchanged or reverted."""
        ...


def text_of(path: Path, what: str) -> str:
    """Return the text of a file; raise BadInput that asks for `what` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path} is not UTF-8: {problem.reason}.", where=str(path), todo="Save it as UTF-8.") from None
    except OSError as problem:
        raise BadInput(
            f"{path} cannot be read: {problem.strerror}.", where=str(path), todo=f"Name a {what} file."
        ) from None


def publish_files(
    group: str, files: Sequence[Path], *, what: str, example: str, note: str, project: str | None, json: bool
) -> None:
    """Send each file to the operation `publish` of a group, and print what became of it.

    All are read before the first is sent. `what` they are and an `example` of one are for errors.
    """
    if not files:
        raise BadInput("No file is named.", where="files", todo=f"Name one: gimbal {group} publish {example}.")
    texts = [(path, text_of(path, what)) for path in files]
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        send: Any = getattr(client, group).publish
        done: list[Published] = [send(text=text, path=str(path), note=note) for path, text in texts]
    print(msgspec.json.encode(done).decode() if json else "\n".join(_lines(done)))  # noqa: T201 - the result of a command


def _lines(done: Sequence[Published]) -> list[str]:
    return [
        line
        for row in done
        for line in (f"{row.state:<9}  {row.ref}", *(f"note: {note}" for note in getattr(row, "notes", ())))
    ]
