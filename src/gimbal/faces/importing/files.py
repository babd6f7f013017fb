"""Files of runs on their way: digested, fetched where they are elsewhere, uploaded unless they are here already."""

import contextlib
import errno
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from blake3 import blake3

from gimbal.faces.client.client import Client
from gimbal.faces.importing.records import Problem, SourceFile
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.shaping import Shaped
from gimbal.kernel.errors import DiskFull, GimbalError

_PREFIX = "b3:"
Again = Callable[[Callable[[], Any]], Any]


def digested(run: Shaped, report: Report, *, whole: bool) -> list[tuple[str, int, str]]:
    """Return path, size in bytes and digest of the files of a run.

    A file that must be fetched from elsewhere has no digest unless `whole` says that it shall be fetched for that. One
    that cannot be read is a problem of the report, with the digest of none.
    """
    found: list[tuple[str, int, str]] = []
    for one in run.files:
        if callable(one.content) and not whole:
            found.append((one.path, one.size, ""))
            continue
        try:
            with fetched(one) as content:
                found.append((one.path, _size(content), digest_of(content)))
        except OSError as problem:
            report.problem(Problem(_where(run, one), f"The file cannot be read: {_why(problem)}."))
            found.append((one.path, -1, ""))
    return found


def digest_of(content: Path | bytes) -> str:
    """Return the digest by which the server knows these bytes."""
    if isinstance(content, bytes):
        return _PREFIX + blake3(content).hexdigest()
    hasher = blake3()
    with content.open("rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return _PREFIX + hasher.hexdigest()


@contextlib.contextmanager
def fetched(one: SourceFile) -> Generator[Path | bytes]:
    """Yield the content of a file, fetched into a file that is gone afterwards when it is elsewhere.

    Raise OSError for one that cannot be read, DiskFull where it has no room here: that is not the fault of the file.
    """
    if not callable(one.content):
        yield one.content
        return
    with contextlib.ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gimbal-import-"))) / "file"
            one.content(path)
        except OSError as problem:
            if problem.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise DiskFull(
                f"There is no room in {tempfile.gettempdir()} to fetch {one.path}: {problem.strerror}.",
                kept="what was imported so far",
                todo="Make room there, or set TMPDIR to another folder, then give the same command again.",
            ) from problem
        yield path


def uploaded(client: Client, run: Shaped, report: Report, again: Again) -> bool:
    """Upload the files of a run that are not here as they are there; return whether all are here now."""
    here = {one.path: one.digest for one in again(lambda: client.runs.artifacts(run.record.id))}
    whole = True
    for one in run.files:
        try:
            with fetched(one) as content:
                if here.get(one.path) != digest_of(content):
                    again(lambda one=one, content=content: client.runs.artifact_put(run.record.id, one.path, content))
                    report.count(files=1, file_bytes=_size(content))
        except OSError as problem:
            if callable(one.content):
                # Of all others it was told when they were digested.
                report.problem(Problem(_where(run, one), f"The file cannot be read: {_why(problem)}."))
            whole = False
        except GimbalError as problem:
            if not refuses(problem):
                raise
            report.problem(Problem(f"{run.where}: {one.path}", f"The file did not come: {_why(problem)}."))
            whole = False
    return whole


def refuses(problem: GimbalError) -> bool:
    """Tell whether the server refused one thing; otherwise it cannot take any: it is away, full, or knows no such key."""
    return problem.status < 500 and problem.status not in {401, 429}


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _where(run: Shaped, one: SourceFile) -> str:
    return str(one.content) if isinstance(one.content, Path) else f"{run.where}: {one.path}"


def _why(problem: OSError | GimbalError) -> str:
    text = problem.strerror if isinstance(problem, OSError) else problem.message
    return str(text or problem).rstrip(".")
