"""What an import has read, written, found there already and refused; counted by several threads, shown at the end."""

import threading

import msgspec

from gimbal.faces.client.wire import text
from gimbal.faces.importing.records import Problem


class Counts(msgspec.Struct, kw_only=True):
    """How many of each."""

    read: int = 0
    """Runs."""
    created: int = 0
    added: int = 0
    """Runs that were there and have what is new."""
    there: int = 0
    """Runs of which everything was there."""
    refused: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    datasets: int = 0
    files: int = 0
    file_bytes: int = 0
    models: int = 0
    """Logged models."""
    registered: int = 0
    """Registered models."""
    versions: int = 0
    aliases: int = 0


class Report:
    """The report of one import."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.problems: list[Problem] = []
        self.differences: list[Problem] = []
        """What `verify` found."""
        self._lock = threading.Lock()

    def count(self, **more: int) -> None:
        """Add to counts."""
        with self._lock:
            for name, number in more.items():
                setattr(self.counts, name, getattr(self.counts, name) + number)

    def problem(self, *problems: Problem) -> None:
        """Note what did not come over."""
        with self._lock:
            # Names of files may be of bytes that are no text.
            self.problems += [Problem(text(one.where), text(one.what)) for one in problems]

    def differ(self, where: str, what: str) -> None:
        """Note a difference between both sides."""
        with self._lock:
            self.differences.append(Problem(text(where), text(what)))

    @property
    def sound(self) -> bool:
        """Whether everything came over, or is the same."""
        return not self.problems and not self.differences
