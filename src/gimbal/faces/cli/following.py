"""Jobs followed from a terminal: a line that changes while one goes on, what came of it at its end."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from gimbal.faces.cli import show

if TYPE_CHECKING:
    from gimbal.engines.compute.model import Job
    from gimbal.faces.client.client import Client

T = TypeVar("T")
_STEPS = 10
_FOR_EVER = float("inf")


def followed(client: "Client", job_id: str, result: type[T], *, quiet: bool) -> T:
    """Return what a job came to, and tell how far it is, unless `quiet`; Ctrl-C leaves it running.

    Raise Conflict where it failed or was cancelled.
    """
    from gimbal.faces.client.waiting import wait

    with contextlib.ExitStack() as stack:
        tell: Callable[[Job], None] | None = None
        if not quiet:
            show.remark(f"{client.transport.url}/p/{client.project}/jobs/{job_id}")
            tell = stack.enter_context(_line()) if sys.stderr.isatty() else _steps()
        try:
            return wait(job_id, result, timeout=_FOR_EVER, on_progress=tell, client=client)
        except KeyboardInterrupt:
            stack.close()
            show.remark(
                f"The job goes on. `gimbal jobs show {job_id}` shows it, `gimbal jobs cancel {job_id}` ends it."
            )
            raise


def _words(job: "Job") -> str:
    if job.status != "running":
        return job.status
    return f"{job.done:,} of {job.total:,} {job.message}" if job.total else job.message or job.status


@contextlib.contextmanager
def _line() -> "Iterator[Callable[[Job], None]]":
    """Give what shows a job in a line that changes."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda job: live.update(Text(_words(job), style="dim"), refresh=True)


def _steps() -> "Callable[[Job], None]":
    """Return what tells of a job with every tenth of it."""
    told = 0

    def tell(job: "Job") -> None:
        nonlocal told
        if job.total and (step := job.done * _STEPS // job.total) > told:
            told = step
            show.remark(f"{job.done:,} of {job.total:,} {job.message}")

    return tell
