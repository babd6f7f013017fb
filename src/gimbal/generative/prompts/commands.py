"""`gimbal prompts sync FOLDER`: read the prompt files of a folder and send them to `prompts.sync`.

The CLI loads `COMMANDS` and hands in the connected client; everything else about prompts is an operation.
"""

from pathlib import Path
from typing import Protocol

from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.service import PromptFile, SyncReport
from gimbal.kernel.errors import BadInput


class PromptGroup(Protocol):
    """The client's methods for prompts."""

    def sync(self, *, files: list[PromptFile], note: str = "") -> SyncReport:
        """Call the operation `prompts.sync`."""
        ...


class PromptClient(Protocol):
    """The part of the client that this command uses."""

    @property
    def prompts(self) -> PromptGroup:
        """The client's methods for prompts."""
        ...


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
    files: list[PromptFile] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            raise BadInput(
                f"{path} is not UTF-8: {problem.reason}.", where=str(path), todo="Save it as UTF-8."
            ) from None
        files.append(PromptFile(path=path.relative_to(folder).as_posix(), text=text))
    return files


def sync(client: PromptClient, folder: Path, *, note: str = "") -> SyncReport:
    """Turn the prompt files of a folder into versions: `help/answer.md` becomes `prompt:help/answer`.

    Syncing twice changes nothing. `note` goes into the history of new versions; a commit id is a good one.
    """
    return client.prompts.sync(files=read_folder(folder), note=note)


COMMANDS = {"sync": sync}
