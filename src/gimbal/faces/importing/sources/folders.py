"""Files below a folder, as artifacts: links and what is no plain file are named, never followed."""

import os
from collections.abc import Iterator
from pathlib import Path

from gimbal.faces.importing.records import Problem, SourceFile


def files_below(folder: Path, prefix: str = "", *, links: bool = False) -> Iterator[SourceFile | Problem]:
    """Yield the files below a folder by path, under a prefix; nothing for a folder that is not there.

    `links` takes the files, never the folders, that links lead to.
    """
    if folder.is_symlink():
        yield link_left_out(folder)
    elif folder.exists():
        yield from _files(str(folder), prefix, links=links)


def folders_in(place: Path, problems: list[Problem] | None = None) -> list[Path]:
    """Return the folders in a folder by name; links and what cannot be read are put among the problems."""
    told = [] if problems is None else problems
    found: list[Path] = []
    try:
        entries = sorted(os.scandir(place), key=lambda one: one.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        told.append(_unread(place, problem))
        return []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            found.append(Path(entry.path))
        elif entry.is_symlink() and not entry.is_file():
            told.append(link_left_out(entry.path))
    return found


def link_left_out(path: str | Path) -> Problem:
    """Return the problem that a symbolic link is."""
    return Problem(str(path), "A symbolic link is left out: it may lead out of the folder.")


def _unread(folder: str | Path, problem: OSError) -> Problem:
    return Problem(str(folder), f"The folder cannot be read: {problem.strerror}; what is below it is left out.")


def _files(folder: str, prefix: str, *, links: bool) -> Iterator[SourceFile | Problem]:
    try:
        entries = sorted(os.scandir(folder), key=lambda one: one.name)
    except OSError as problem:
        yield _unread(folder, problem)
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if entry.is_symlink() and not (links and entry.is_file()):
            yield link_left_out(entry.path)
        elif entry.is_dir():
            yield from _files(entry.path, f"{path}/", links=links)
        elif entry.is_file():
            yield SourceFile(path, Path(entry.path), entry.stat().st_size)
        else:
            yield Problem(entry.path, "It is no plain file, and is left out.")


def add_files(found: Iterator[SourceFile | Problem], files: list[SourceFile], problems: list[Problem]) -> None:
    """Sort files and problems into their lists."""
    for one in found:
        if isinstance(one, SourceFile):
            files.append(one)
        else:
            problems.append(one)
