"""`gimbal prompts sync FOLDER` and `gimbal prompts pull FOLDER`: prompt files of a folder into versions, and back.

The CLI loads this and hands in the app of the group; everything else about prompts is an operation.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.axis.assets.publishing import AsJson, Note, Project
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
    return [PromptFile(path=path.relative_to(folder).as_posix(), text=_text_of(path)) for path in paths]


def _text_of(path: Path) -> str:
    """Return the text of a file with its line ends as they are; raise BadInput where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path} is not UTF-8: {problem.reason}.", where=str(path), todo="Save it as UTF-8.") from None
    except OSError as problem:
        raise BadInput(
            f"{path} cannot be read: {problem.strerror}.", where=str(path), todo="Name prompt files."
        ) from None


def sync(
    folder: Annotated[Path, Parameter(help="Folder with prompt files.")],
    *,
    note: Note = "",
    project: Project = None,
    json: AsJson = False,
) -> None:
    """Turn the prompt files of a folder into versions: `help/answer.md` becomes `prompt:help/answer`.

    All files are checked before anything is written, and syncing twice changes nothing. `gimbal sync` shows first what
    would change.
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


def pull(
    folder: Annotated[Path, Parameter(help="Folder to write to; made where there is none.")],
    *,
    force: Annotated[bool, Parameter(help="Overwrite files that differ.", negative="", show_default=False)] = False,
    project: Project = None,
) -> None:
    """Write the newest version of every prompt as a file, byte for byte as it was synced.

    A file that differs is kept and named, and the command ends with 1, unless --force is given. Other files stay.
    """
    kept = 0
    # As above.
    with importlib.import_module("gimbal").Client(project=project) as client:
        for name, number in _names(client):
            state, said = _pulled(client, f"prompt:{name}@v{number}", folder / f"{name}{SUFFIX}", force=force)
            kept += state == "kept"
            print(f"{state:<9}  prompt:{name}@v{number}  {said}")  # noqa: T201 - the result of a command
    if kept:
        print(f"{kept} kept, because they differ; --force overwrites them")  # noqa: T201 - as above
        raise SystemExit(1)


def _names(client: Any) -> Iterator[tuple[str, int]]:
    """Yield every prompt with the number of its newest version."""
    cursor: str | None = None
    while True:
        page = client.assets.list(kind="prompt", cursor=cursor, limit=1000)
        yield from ((asset.name, asset.versions) for asset in page.items)
        cursor = page.next
        if cursor is None:
            return


def _pulled(client: Any, ref: str, path: Path, *, force: bool) -> tuple[str, str]:
    """Write one prompt; return what became of it, and its path or why there is none."""
    try:
        content = b"".join(client.prompts.source(ref))
    except BadInput as problem:
        return "left", problem.message
    before = path.read_bytes() if path.exists() else None
    if before == content:
        return "unchanged", str(path)
    if before is not None and not force:
        return "kept", str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return "written", str(path)


def add(app: App) -> None:
    """Put the room's own commands into the app of the group."""
    for command in (sync, pull):
        app.command(command)
