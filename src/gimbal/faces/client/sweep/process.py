"""One trial as a process in a session of its own: started, watched, and stopped with all its children."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gimbal.kernel.errors import BadInput

MOST_OUTPUT = 2**20
_TERM_S = 5.0
_LOOK_S = 0.05


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is run for a trial."""

    words: list[str]
    environment: dict[str, str]
    """What is added to that of the sweep."""
    timeout: float | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended."""

    code: int
    """Exit code; negative for the signal that ended it."""
    output: bytes
    """The end of what it wrote."""
    why: str = ""
    """`timeout` or `stopped` when it was ended from here."""


def check_command(words: list[str]) -> None:
    """Raise BadInput for a command that is not there."""
    if shutil.which(words[0]) is None:
        raise BadInput(
            f"There is no command {words[0]!r} here.",
            where="command",
            kept="nothing was started",
            todo="Write its path, or install it.",
        )


class Process:
    """A trial that runs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        # A file, not a pipe: a trial that writes much must never wait for who reads.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the outcome is read
        self._until = None if job.timeout is None else time.monotonic() + job.timeout
        self._process = subprocess.Popen(  # noqa: S603 - what the sweep's file says
            job.words,
            env={**os.environ, **job.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait(self, stop: Callable[[], str]) -> Outcome:
        """Wait until it ends, or until `stop` says why it shall; whatever `stop` raises ends it, too."""
        with self._output as file:
            try:
                code, why = self._ended(stop)
            except BaseException:
                self.end()
                raise
            # What a trial left running goes with it.
            end_group(self.pid)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST_OUTPUT))
            return Outcome(code=code, output=file.read(), why=why)

    def _ended(self, stop: Callable[[], str]) -> tuple[int, str]:
        while (code := self._process.poll()) is None:
            why = stop()
            if not why and self._until is not None and time.monotonic() > self._until:
                why = "timeout"
            if why:
                return self.end(), why
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_S)
        return code, ""

    def end(self) -> int:
        """End it and its children: asked first, then made to."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TERM_S)
        end_group(self.pid)
        return self._process.wait()


def end_group(leader: int) -> None:
    """End what is left of a session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def is_at_work(pid: int, at: str) -> bool:
    """Tell whether the process that started then is still there: ids are given again, and no moment is no process."""
    return bool(at) and started_at(pid) == at


def started_at(pid: int) -> str:
    """Return when a process started, in the words of its system; empty when it is gone."""
    if not Path("/proc/self/stat").exists():
        return started_by_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return ""
    # One that has ended and was not fetched yet is gone, too.
    return "" if fields[0] == "Z" else fields[19]


def started_by_ps(pid: int) -> str:
    """Return the same where there is no /proc, as on macOS: to the second."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})  # noqa: S603 - ours
    state, _, at = told.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else at.strip()
