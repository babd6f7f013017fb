"""`gimbal prompts sync FOLDER`: read the prompt files of a folder and send them to `prompts.sync`.

The CLI loads this and hands in the app of the group; everything else about prompts is an operation.
"""

import importlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.axis.assets.publishing import AsJson, Note, Project, text_of
from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.model import PromptFile, SyncReport
from gimbal.kernel.errors import BadInput


def read_folder(folder: Path) -> list[PromptFile]:
    """Return every prompt file below `folder` (hidden ones excepted), by path; raise BadInput when there is none."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is not a folder.", where="folder", todo="Name the folder that holds the prompt files."
        )
    paths = sorted(
        path
        for path in folder.rglob(f"*{SUFFIX}")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise BadInput(f"There is no {SUFFIX} file in {folder}.", where="folder", todo="Add one such as answer.md.")
    return [PromptFile(path=path.relative_to(folder).as_posix(), text=text_of(path, "prompt")) for path in paths]


def sync(
    folder: Annotated[Path, Parameter(help="Folder with prompt files.")],
    *,
    note: Note = "",
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Turn the prompt files of a folder into versions: `help/answer.md` becomes `prompt:help/answer`.

    All files are checked before anything is written, and syncing twice changes nothing.
    """
    files = read_folder(folder)
    # The client is a face, which stands above this room: it is reached as a script reaches it.
    with importlib.import_module("gimbal").Client(project=project) as client:
        report: SyncReport = client.prompts.sync(files=files, note=note)
    print(msgspec.json.encode(report).decode() if json else _lines(report))  # noqa: T201 - the result of a command


def _lines(report: SyncReport) -> str:
    widest = max((len(str(row.ref)) for row in report.prompts), default=0)
    rows: list[Any] = [f"{row.state:<9}  {row.ref!s:<{widest}}  {row.path}" for row in report.prompts]
    return "\n".join([*rows, f"{report.created} created, {report.unchanged} unchanged"])


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    app.command(sync)
